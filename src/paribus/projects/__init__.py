"""Projects of users: a new one that works at once, and existing ones that are trained as they are."""

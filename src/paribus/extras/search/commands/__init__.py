"""Commands of the searches."""

"""One run, from a resolved configuration to its record."""

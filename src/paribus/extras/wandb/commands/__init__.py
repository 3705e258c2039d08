"""Commands: each file is one, and no other file names it."""

"""Callbacks of a run: what acts on its updates, and what only watches."""

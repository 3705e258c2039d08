"""The code of this project: a module and its data."""

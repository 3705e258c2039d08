"""The version of Paribus."""

__version__ = "0.2.0"

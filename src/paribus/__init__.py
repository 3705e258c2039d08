"""Paribus: ablation studies of deep-learning training, everything else being equal."""

from paribus.base.version import __version__

__all__ = ["__version__"]

"""Paribus: ablation studies of deep-learning training, everything else being equal."""

__version__ = "0.2.0"

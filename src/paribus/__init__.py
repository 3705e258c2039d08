"""Paribus: ablation studies of deep-learning training, everything else being equal."""

__version__ = "0.1.0"

"""Kinds of training: what is learned from the samples, and how well. Each follows the protocol in `task.py`."""

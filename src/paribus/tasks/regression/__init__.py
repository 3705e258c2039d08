"""Regression: one or several numbers for each sample."""

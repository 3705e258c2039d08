"""Weights & Biases: a view of the records. Runs log to it, and dashboards are made of them."""

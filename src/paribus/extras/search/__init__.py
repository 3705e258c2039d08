"""Searches by Optuna: trials that are runs, in a study that is kept. Nothing of the core imports this package."""

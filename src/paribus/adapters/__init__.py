"""Losses, schedulers and networks of torch and of anybody, in the forms that tasks and loops take."""

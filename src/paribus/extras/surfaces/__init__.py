"""Functions of one or a few variables, and what optimizers and schedules do on them. torch only."""

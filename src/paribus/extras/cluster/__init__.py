"""Launchers beyond one machine: SLURM through submitit, and Ray."""

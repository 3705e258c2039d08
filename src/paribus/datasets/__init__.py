"""Data sets, splits, batches and augmentation; torch and numpy only."""

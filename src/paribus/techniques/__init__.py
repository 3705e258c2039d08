"""Techniques that ablations vary: models, norms, optimizers, schedules, losses, augmentations. torch only."""

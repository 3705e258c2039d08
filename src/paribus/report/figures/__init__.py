"""Figures for papers: tidy data in, a matplotlib Figure out; the caller saves it, with `save`.

learning: curves of arms over epochs, updates or seconds. runs: one run. differences: arms compared by seed.
search: what tuning found. timing: what an update costs.
"""

from paribus.report.figures.learning import learning_curves
from paribus.report.figures.saving import save

__all__ = ["learning_curves", "save"]

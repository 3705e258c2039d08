"""Figures for papers: tidy data in, a matplotlib Figure out; the caller saves it, with `saving.save`.

learning: curves of arms over epochs, updates or seconds. runs: one run. differences: arms compared by seed.
factors: two factors of a grid, or one over numbers. ranks: arms over many regimes.
search: what tuning found. speed: times to targets. timing: what an update costs. catalogue, named: which there are.
sheet: width, names at the ends of lines, small panels, captions. style: colours and dashes, which the page uses as
well; so the package itself imports none of them, and the page needs no matplotlib.
"""

"""The report page: studies in, one self-contained HTML file out.

words: verdicts in plain words. curves, charts, explore: what the scripts draw, as data. strips: intervals that need no
script. legend: one for all of them. thin: fewer points, honestly. render: the template, its style and its scripts.
"""

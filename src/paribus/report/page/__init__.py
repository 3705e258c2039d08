"""The report page: studies in, one self-contained HTML file out.

words: verdicts in plain words. curves, charts: what the scripts draw, as data. thin: fewer points, honestly.
render: the template, its style and its scripts put together.
"""

"""The results as pages: an index, the findings that surprised, a page for each section, claim and ablation, raw tables.

Everything comes from shipped records and the remarks of people, so that a test can compare it.
"""

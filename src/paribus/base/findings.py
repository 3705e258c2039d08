"""Findings of `paribus doctor`: a subject, what is there, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """subject: what was looked at. found: what is there, in words. wrong: the fault and its remedy; empty where all is
    well."""

    subject: str
    found: str
    wrong: str = ""

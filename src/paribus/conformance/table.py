"""The table of a check, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from paribus.conformance.steps import STEPS, Checked

NONE = "-"


def text(found: Sequence[Checked]) -> str:
    """A row for each option, and below what failed, with the remedy, and what is good to know."""
    rows: list[tuple[str, ...]] = [("option", *STEPS)]
    rows += [(str(each.option), *(each.found.get(step, NONE) for step in STEPS)) for each in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for each in found:
        lines += [f"{each.option.path} {step}: no. {why}" for step, why in each.faults.items()]
    for each in found:
        lines += [f"{each.option.path} {step}: {why}" for step, why in each.remarks.items()]
    return "\n".join(lines)

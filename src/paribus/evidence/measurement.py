"""The result of a check: measured against expected, an outcome, and a line of plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from paribus.stats import verdict

# Where a check compares two ways to train it has the words of a verdict. Where the claim names a number, or a share of
# more than one half, there is no gain that could be negligible or reversed.
Outcome = verdict.Outcome | Literal["REFUTED", "CONDITIONAL"]
MEANING = (
    "Of a check whose claim names a number, SUPPORTED: the measured number is what the claim says; REFUTED: it is not; "
    "INCONCLUSIVE: its interval allows for both; CONDITIONAL: the claim holds in one regime and not in another."
)


@dataclass(frozen=True)
class Measurement:
    """One quantity of a check.

    regime: under which conditions, where a check looks at several; low, high: an interval of `measured` from `n`
    repetitions, nan where nothing is random.
    expected: what the claim or its closed form says; nan where it names no number.
    bound: whether that is the number itself, or the most or the least that the measured one may be.
    tolerance: how far measured may be off an expected number, in its unit: for rounding, or for what the closed form
        leaves out.
    """

    regime: str
    quantity: str
    measured: float
    outcome: Outcome
    words: str
    expected: float = math.nan
    tolerance: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 1
    bound: Literal["", "at most", "at least"] = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, None for nan."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Measurement:
        values: dict[str, Any] = {k: math.nan if v is None else v for k, v in content.items()}
        if values.get("outcome") == "CONDITIONAL":  # the word for an open one in files of before
            values["outcome"] = "INCONCLUSIVE"
        return Measurement(**values)


def exact(
    quantity: str, measured: float, expected: float, tolerance: float, words: str, regime: str = "", n: int = 1
) -> Measurement:
    """SUPPORTED where measured is within the tolerance of what is expected, else REFUTED."""
    outcome: Outcome = "SUPPORTED" if abs(measured - expected) <= tolerance else "REFUTED"
    return Measurement(regime, quantity, float(measured), outcome, words, float(expected), tolerance, n=n)


def at_most(quantity: str, measured: float, bound: float, words: str, regime: str = "", n: int = 1) -> Measurement:
    """SUPPORTED where measured is at most the bound, else REFUTED."""
    outcome: Outcome = "SUPPORTED" if measured <= bound else "REFUTED"
    return Measurement(regime, quantity, float(measured), outcome, words, float(bound), n=n, bound="at most")


def at_least(quantity: str, measured: float, bound: float, words: str, regime: str = "", n: int = 1) -> Measurement:
    """SUPPORTED where measured is at least the bound, else REFUTED."""
    outcome: Outcome = "SUPPORTED" if measured >= bound else "REFUTED"
    return Measurement(regime, quantity, float(measured), outcome, words, float(bound), n=n, bound="at least")


def overall(measurements: Sequence[Measurement]) -> Outcome:
    """The outcome that all share; CONDITIONAL where the claim holds in one and not in another: both numbers are exact,
    or have intervals on different sides of what is expected. INCONCLUSIVE where some are open, and no two differ."""
    found = {each.outcome for each in measurements}
    settled = found - {"INCONCLUSIVE"}
    if len(settled) > 1:
        return "CONDITIONAL"
    return found.pop() if len(found) == 1 else "INCONCLUSIVE"

"""A rank that has ended: how, and which of several that failed is to blame."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from paribus.sweep.result import Result, death


@dataclass(frozen=True)
class Rank:
    """A rank that has ended. at: when, by the clock that all processes of a machine have in common.

    ours: it was killed because another had failed."""

    rank: int
    code: int
    result: Result
    at: float
    ours: bool = False


def without_a_word(rank: int, code: int) -> Rank:
    """A rank that left no result: it was killed, has stopped, or ended itself."""
    if code < 0:
        result = Result("killed", message=death(code))
    else:
        result = Result("stopped") if code == 130 else Result("bug", message=f"ended with exit code {code}")
    return Rank(rank, code, result, math.inf)


def cause(ended: Sequence[Rank]) -> Rank | None:
    """The rank that failed by itself; None where none did.

    One that is gone breaks the connections of the others, which fail for that, or abort. So what can't be a consequence
    comes first: a kill, a mistake in the configuration, memory, a disk. Of other errors the earliest counts.
    """
    failures = [each for each in ended if each.result.kind not in ("done", "stopped") and not each.ours]

    def order(each: Rank) -> tuple[int, float]:
        if each.code < 0:
            return (3 if each.code == -signal.SIGABRT else 0), each.at
        if each.result.kind != "bug":
            return 1, each.at
        return 2, each.at

    return min(failures, key=order, default=None)

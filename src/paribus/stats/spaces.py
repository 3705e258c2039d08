"""Spaces of hyper-parameters, and the points that a search draws from them.

Every arm of a comparison draws equally many points, and from equal spaces the same ones. Points are part of the ids of
runs. So they follow from what no version of a library changes: the bits of PCG64 and Sobol's direction numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from paribus.base.numbers import is_number

SAMPLERS = ("sobol", "random")
KINDS = ("log", "uniform", "times", "int", "choice")
MOST_TRIALS = 10_000
EDGE = 0.05  # the outermost share of a range, on either side
_BITS = 30  # of a coordinate of Sobol's sequence
_DRAWS = 64  # of a trial, at most, until its point is one that no earlier trial has


@dataclass(frozen=True)
class Search:
    """How many points each arm tries, from which sequence, and the seed of that.

    halving: by what the trials are divided from rung to rung, and the budget multiplied; 0 for one rung.
    """

    trials: int
    sampler: str = "sobol"
    seed: int = 0
    halving: int = 0

    @property
    def rungs(self) -> list[tuple[int, int]]:
        r"""(trials, divisor of the budget) of each rung of successive halving, the last with the whole budget:
        $\lfloor T / \eta^r \rfloor$ trials with $B / \eta^{R-r}$, r = 0, ..., R; at least two trials are left.

        Source: Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization".
        """
        last = 0
        while self.halving and self.trials // self.halving ** (last + 1) >= 2:
            last += 1
        return [(self.trials // self.halving**r, self.halving ** (last - r)) for r in range(last + 1)]


@dataclass(frozen=True)
class Range:
    """The values that one key may take.

    kind log, uniform: numbers from `values` = (lowest, highest), evenly spread in the logarithm or in the value. times:
    the same as log, multiplied by the arm's own value of the key. int: whole numbers, lowest and highest included.
    choice: one of `values`.
    """

    kind: str
    values: tuple[Any, ...]

    @staticmethod
    def parse(spec: Any) -> Range:
        """{log: [0.0001, 1]} or {choice: [16, 32]}. Raises ValueError with the form that is wanted."""
        if not isinstance(spec, Mapping) or len(spec) != 1 or next(iter(spec)) not in KINDS:
            raise ValueError(
                f"must be one of log, uniform, times, int: [lowest, highest], or choice: [values], got {spec!r}"
            )
        [(kind, given)] = spec.items()
        if kind == "choice":
            _check_choice(given)
            return Range(kind, tuple(given))
        if not isinstance(given, list) or len(given) != 2 or not all(map(is_number, given)):
            remedy = ". A count belongs to a grid, which has no trials" if isinstance(given, list) else ""
            raise ValueError(f"must be {kind}: [lowest, highest], two numbers, got {given!r}{remedy}")
        low, high = given
        if not low < high or not math.isfinite(float(high) - float(low)):
            raise ValueError(f"must have its lowest value below its highest, got {given!r}")
        if kind in ("log", "times") and low <= 0:
            raise ValueError(f"must be positive on a logarithmic range, got {given!r}. Try uniform, or a small number")
        if kind == "int" and not all(isinstance(value, int) for value in given):
            raise ValueError(f"must be int: [lowest, highest], two whole numbers, got {given!r}")
        return Range(kind, (low, high))

    @property
    def size(self) -> float:
        """How many values there are; infinite for numbers that are not whole."""
        if self.kind == "choice":
            return len(self.values)
        return self.values[1] - self.values[0] + 1 if self.kind == "int" else math.inf

    def within(self, own: Any) -> Range:
        """The range of an arm whose own value of the key is `own`. Raises ValueError for `times` of no number."""
        if self.kind != "times":
            return self
        if not is_number(own) or own <= 0:
            raise ValueError(f"multiplies the arm's own value, which must be a positive number, got {own!r}")
        low, high = (float(f"{own * value:.6g}") for value in self.values)
        return Range("log", (low, high))

    def at(self, u: float) -> Any:
        """The value of a number u from 0 to 1, rounded to what one can print: to four digits of itself, on a uniform
        range of its width, and of more where the range is narrow."""
        if self.kind == "choice":
            return self.values[int(u * len(self.values))]
        low, high = self.values
        if self.kind == "int":
            return low + int(u * self.size)
        if self.kind == "uniform":
            return _rounded(low + (high - low) * u, high - low, low, high)
        value = math.exp(math.log(low) + (math.log(high) - math.log(low)) * u)
        return _rounded(value, min(value, high - low), low, high)

    def on_edge(self, value: Any) -> bool:
        """Whether a value lies within the outermost 5 % of its range. Of whole numbers the first and the last do, where
        there are more than two; choices have no order."""
        if self.kind == "choice":
            return False
        low, high = self.values
        if self.kind == "int" and value in (low, high):
            return bool(self.size > 2)
        if self.kind == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return not EDGE <= (value - low) / (high - low) <= 1 - EDGE


def space_of(ranges: Mapping[str, Range], own: Mapping[str, Any]) -> dict[str, Range]:
    """The ranges of an arm, whose own values are `own`. Raises ValueError that begins with the key."""
    found = {}
    for key, each in ranges.items():
        try:
            found[key] = each.within(own[key])
        except ValueError as error:
            raise ValueError(f"{key} {error}") from None
    return found


def points(space: Mapping[str, Range], search: Search) -> list[dict[str, Any]]:
    """As many different points as there are trials; those of fewer trials are the first of them.

    A point that was drawn before is passed over, as whole numbers and choices make it happen: every arm has equally
    many different points.

    Raises ValueError where the space has too few points.
    """
    there = math.prod(each.size for each in space.values())
    drawn = 0 if there < search.trials else search.trials
    found: dict[str, dict[str, Any]] = {}
    while len(found) < search.trials:
        if not 0 < drawn <= _DRAWS * search.trials:
            shown = there if there < search.trials else f"{len(found)} among {drawn // 2} draws"
            raise ValueError(
                f"must hold as many different points as there are trials, {search.trials}, got {shown}. Lower trials, "
                "or widen a range"
            )
        for row in uniform(search.sampler, drawn, len(space), search.seed):
            point = {key: each.at(float(u)) for (key, each), u in zip(space.items(), row, strict=True)}
            found.setdefault(repr(point), point)
        drawn *= 2
    return list(found.values())[: search.trials]


def uniform(sampler: str, n: int, columns: int, seed: int) -> np.ndarray:
    r"""(n, columns) numbers between 0 and 1. More rows or columns leave those that there are as they are.

    sobol: $u_{ij} = ((2^{30} x_{ij} \oplus s_j) + 1/2) / 2^{30}$ with Sobol's sequence x and a random shift $s_j$ of
        the bits of each column: any $2^m$ points that begin at a multiple of $2^m$ have one in each $2^m$-th part of
        every column.
    random: independent.

    Sources: Sobol 1967, with the direction numbers of Joe & Kuo 2008; the shift: L'Ecuyer & Lemieux 2002.
    """
    bits = [np.random.PCG64([seed, column]) for column in range(columns)]
    if sampler == "random":
        return np.array([(each.random_raw(n) >> np.uint64(11)) * 2.0**-53 for each in bits]).T
    from scipy.stats import qmc  # a second, which only a plan with Sobol trials takes

    x = qmc.Sobol(columns, scramble=False, bits=_BITS).random_base2((n - 1).bit_length())[:n]
    shift = np.array([int(each.random_raw()) >> (64 - _BITS) for each in bits])
    found: np.ndarray = (((x * 2**_BITS).astype(np.int64) ^ shift) + 0.5) / 2**_BITS
    return found


def _check_choice(given: Any) -> None:
    plain = isinstance(given, list) and not any(isinstance(value, Mapping) for value in given)
    finite = plain and all(is_number(value) for value in given if isinstance(value, float))
    if not finite or len(given) < 2 or len(set(map(str, given))) < len(given):
        raise ValueError(f"must be choice: [values], two or more that are different and plain, got {given!r}")


def _rounded(value: float, width: float, low: float, high: float) -> float:
    """To three digits behind the first one of the width, and within the range."""
    places = 3 - math.floor(math.log10(width))
    return float(min(max(round(value, places), low), high))

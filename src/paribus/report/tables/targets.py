"""The table of times to a target: a row for each arm, and a caption with the rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from paribus.evidence.targets import UNITS, ArmTimes, TargetTimes
from paribus.report.numbers import NONE, decimals, name, p_value, scale, short, text
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.stats.collapse import not_excluded
from paribus.stats.signflip import LARGEST_EXACT, sign_flip_floor


def target_words(times: TargetTimes) -> str:
    """A validation accuracy of 97 % or more."""
    metric, value = times.metric, short(times.value * scale(times.metric))
    unit = metric.metric.unit
    shown = value if unit is None else f"{value} %" if metric.metric.is_percent else f"{value} {unit}"
    return f"a {name(metric)} of {shown} or {'more' if metric.metric.higher else 'less'}"


def targets_sheet(of: str, times: TargetTimes, registered: Sequence[str] = ()) -> Sheet:
    """of: the name of the table that it stands beside. registered: what is said of its registration."""
    units = [unit for unit in (times.unit, *(each for each in UNITS if each != times.unit)) if unit in times.horizons]
    if times.untimed is not None:
        units = [unit for unit in units if unit != "seconds"]
    head = [Column("arm", words=True, rank=0), Column("reached", rank=1)]
    for unit in units:
        head.append(Column(f"{unit} (mean)", rank=1 if unit == times.unit else 3))
        head += [Column(f"{unit} (median)", rank=2)] if unit == times.unit else []
    rows = []
    for label, arm in times.arms.items():
        row = [Entry(label or "(no name)"), Entry(str(arm.reached), f"of {arm.n}") if arm.n else Entry(NONE)]
        for unit in units:
            row.append(_mean(arm, unit))
            row += [_median(arm)] if unit == times.unit else []
        rows.append([*row, Entry("baseline" if label == times.baseline else p_value(arm.p_holm))])
    heading = f"{of}: {times.unit} to {target_words(times)}"
    return Sheet(
        heading,
        label_of(of, times.unit, times.metric),
        [*head, Column("p (log-rank, Holm)", rank=1)],
        rows,
        " ".join([*_rule(times), *_numbers(times), *_tests(times), *_limits(times), *registered]),
        short=f"{heading}.",
    )


def _mean(arm: ArmTimes, unit: str) -> Entry:
    if (mean := arm.means.get(unit)) is None:
        return Entry(NONE)
    return _interval(mean.mean, mean.low, mean.high)


def _median(arm: ArmTimes) -> Entry:
    if not math.isfinite(arm.median.time):
        return Entry(NONE)
    return _interval(arm.median.time, arm.median.low, arm.median.high)


def _interval(value: float, low: float, high: float) -> Entry:
    """Rounded to two digits of half the interval's width; to four digits where it has no end."""
    if not math.isfinite(value):
        return Entry(NONE)
    if math.isnan(low) or math.isnan(high):
        return Entry(short(value))
    if math.isinf(high):
        return Entry(short(value), f"({short(low)} or more)" if math.isfinite(low) else "")
    places = min(5, decimals((high - low) / 2)) if high > low else 0 if value == round(value) else 2
    return Entry(text(value, places), f"({text(low, places)} to {text(high, places)})")


def _rule(times: TargetTimes) -> Iterator[str]:
    arms, (least, most) = times.arms.values(), times.gaps
    sizes = sorted({arm.n for arm in arms})
    n = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]}"
    yield f"{times.unit.capitalize()} until a run reaches {target_words(times)}; {n} runs per arm."
    if math.isfinite(most):
        apart = short(most) if most == least else f"{short(least)} to {short(most)}"
        yield (
            "A run reaches it at its first validation there, and got there at some update since the validation before; "
            f"validations lie {apart} updates apart, and times are too long by less than this."
        )
        if most > 1.5 * least:
            yield "CAUTION: arms that validate less often seem slower by up to one of their intervals."
    yield (
        f"Runs that do not reach it are censored at the end of their budget; means are restricted to "
        f"{short(times.horizons[times.unit])} {times.unit}."
        if times.unit in times.horizons
        else "Runs that do not reach it are censored at the end of their budget."
    )
    if never := sum(arm.never for arm in arms):
        yield f"Runs that diverged or stopped before the end of their budget ({never}) count as never reaching it."
    if times.missing:
        yield f"CAUTION: {times.missing} runs have no history and are left out."


def _numbers(times: TargetTimes) -> Iterator[str]:
    level = f"{100 * times.level:g} %"
    yield (
        f"Mean: area under the Kaplan-Meier curve, with its {level} t interval, whose lower limit counts times from "
        "the validations before."
    )
    if any(0 < arm.reached < arm.n or not arm.reached for arm in times.arms.values() if arm.n):
        yield "Where runs do not reach the target, each limit counts one run more, that never does or is much quicker."
    yield f"Median: with the {level} interval from log-log bands of the curve."


def _tests(times: TargetTimes) -> Iterator[str]:
    pairs = [arm.pairs for arm in times.arms.values() if not math.isnan(arm.p)]
    if not pairs:
        return
    n, most = times.comparisons, max(pairs)
    looks = zip(times.looks.sizes, times.looks.shares, strict=True) if times.looks is not None else [(most, 1.0)]
    floor = min((sign_flip_floor(size) / share for size, share in looks if size <= most), default=1.0)
    how = "exactly" if most <= LARGEST_EXACT else "at random"
    yield (
        f"p: log-rank test against {times.baseline}, for which the two runs of a seed change places {how}, adjusted by "
        f"Holm for {n} comparison{'s' if n > 1 else ''} (smallest possible p of one: {p_value(floor)})."
    )
    if times.kept:
        yield "A tuned arm counts as faster only where it is at every point of the grid that its rival keeps."
    if times.looks is not None:
        yield f"The errors are divided over the looks after {', '.join(map(str, times.looks.sizes))} seeds."


def _limits(times: TargetTimes) -> Iterator[str]:
    clean = [arm.n for arm in times.arms.values() if arm.n and arm.reached == arm.n]
    if clean:
        shares = [
            f"{100 * not_excluded(n, times.level):.0f} % (n = {n})" for n in dict.fromkeys((max(clean), min(clean)))
        ]
        yield f"Where all runs of an arm reached it, up to {' or '.join(shares)} that never do are not excluded."
    if times.untimed is not None:
        yield f"Seconds are left out: {times.untimed}."

"""The table of budgets for tuning: what each arm gives after 1, 2, 4, ... trials, and who is ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paribus.evidence.budgets import Budgets
from paribus.report.numbers import decimals, p_value, scale, text, title
from paribus.report.tables.columns import unit, with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of


def budgets_sheet(of: str, found: Budgets, registered: Sequence[str] = ()) -> Sheet:
    """of: the name of the table that it stands beside. registered: what is said of its registration."""
    rows = []
    for label, arm in found.arms.items():
        for k in next(iter(each.gaps for each in found.arms.values() if each.gaps)):
            own = arm.curve[k - 1]
            row = [Entry(label or "(no name)"), Entry(str(k)), value(found, own.mean, own.low, own.high)]
            if label == found.baseline:
                rows.append([*row, Entry("baseline"), Entry("")])
                continue
            each = arm.gaps[k]
            gap = with_interval(each.gap.mean, each.gap.low, each.gap.high, found.metric)
            rows.append([*row, gap, Entry(p_value(each.p_holm))])
    heading = f"{of}: {title(found.metric)} by trials"
    return Sheet(
        heading,
        label_of(of, "trials", found.metric),
        [
            Column("arm", words=True, rank=0),
            Column("trials", rank=0),
            Column(title(found.metric), rank=0),
            Column(f"difference from {found.baseline}{unit(found.metric)}", rank=1),
            Column("p (Holm)", rank=2),
        ],
        rows,
        " ".join([*ahead_words(found), *_rule(found), *registered]),
        short=f"{heading}.",
    )


def value(found: Budgets, mean: float, low: float, high: float) -> Entry:
    """97.1 (95.8 to 98.3), in the unit that is shown, rounded to two digits of half the interval's width."""
    shown = [each * scale(found.metric) for each in (mean, low, high)]
    places = min(5, decimals((shown[2] - shown[1]) / 2))
    own, least, most = (text(each, places) for each in shown)
    return Entry(own, f"({least} to {most})")


def ahead_words(found: Budgets) -> Iterator[str]:
    """Who is ahead of the baseline at which numbers of trials, a sentence for each arm."""
    for arm, each in found.arms.items():
        if not each.gaps:
            continue
        last = max(each.gaps)
        parts = []
        for ks, leads in found.ahead(arm):
            if len(ks) == 1 and ks[0] != last:
                where = f"at {ks[0]} trial{'s' if ks[0] > 1 else ''}"
            else:
                where = f"from {ks[0]} on" if ks[-1] == last else f"at {ks[0]} to {ks[-1]} trials"
            parts.append(f"{where} {leads or '(no name)'} is ahead")
        both = f"{arm or '(no name)'} and {found.baseline or '(no name)'}"
        if parts:
            yield f"{both}, up to {last} trials: {', '.join(parts)}; elsewhere it is open."
        else:
            yield f"{both}: up to {last} trials it is open which of them is ahead."


def _rule(found: Budgets) -> Iterator[str]:
    yield (
        f"Expected {title(found.metric)} of the best of k trials, over all k of the {found.trials} that each arm tried "
        f"(Dodge et al. 2019; Tang et al. 2020): chosen by {title(found.select_on)}, each of the {found.seeds} tuning "
        "seeds at the trial that the others choose; diverged runs at chance."
    )
    yield (
        f"In brackets: {100 * found.level:g} % intervals for new trials and new seeds, each for its number of trials "
        "alone. Differences are paired by trial and seed; beyond half of the trials nothing tells their luck."
    )
    n = found.comparisons
    yield (
        f"p: of the difference, adjusted by Holm for {n} comparison{'s' if n > 1 else ''}; an arm is ahead where it is "
        f"at most {1 - found.level:.2g}."
    )

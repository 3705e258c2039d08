"""The one legend of a page: an entry for each arm, which has one look in all charts and is lit in all tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from paribus.report.escape import plain
from paribus.report.study import Study

MANY = 12  # arms drawn at first; more hide each other


@dataclass(frozen=True)
class Legend:
    """names: of its entries. places: of each study, the entries of its arms, in their order. shown: those that are
    drawn at first. baselines: those that others are compared with in each study that has them."""

    names: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    shown: frozenset[int]
    baselines: frozenset[int]

    def of(self, number: int, study: Study) -> dict[str, int]:
        """The entries of the arms of the study with this number."""
        return dict(zip(study.arms, self.places[number], strict=True))


def legend(studies: Sequence[Study]) -> Legend:
    """Arms with the same name and the same levels are one entry, whichever regime or ablation they belong to.

    Arms that have a name in common and nothing else are told apart by the names of their ablations.
    """
    entries: dict[tuple[str, str], int] = {}
    owners: list[str] = []
    for study in studies:
        for arm in study.arms:
            key = _key(study, arm)
            if key not in entries:
                entries[key] = len(entries)
                owners.append(study.ablation.name if study.ablation else study.name)
    names = [plain(arm) or "(no name)" for arm, _ in entries]
    told = [
        f"{name} ({plain(owner)})" if names.count(name) > 1 else name for name, owner in zip(names, owners, strict=True)
    ]
    places = tuple(tuple(entries[_key(study, arm)] for arm in study.arms) for study in studies)
    first = {
        place for study, own in zip(studies, places, strict=True) for k, place in enumerate(own) if k in _best(study)
    }
    tables = [study.table for study in studies]
    baselines = {
        entries[_key(study, table.baseline.arm)]
        for study, table in zip(studies, tables, strict=True)
        if table is not None and table.baseline.arm in study.arms
    }
    others = {
        place
        for study, table, own in zip(studies, tables, places, strict=True)
        for arm, place in zip(study.arms, own, strict=True)
        if table is None or table.baseline.arm != arm
    }
    shown = first if len(entries) > MANY else range(len(entries))
    return Legend(tuple(told), places, frozenset(shown), frozenset(baselines - others))


def _key(study: Study, arm: str) -> tuple[str, str]:
    return arm, repr(sorted(study.plan.levels.get(arm, {}).items(), key=repr))


def _best(study: Study) -> set[int]:
    """Of many arms, the baseline and those with the best means."""
    if study.table is None or len(study.arms) <= MANY:
        return set(range(len(study.arms)))
    sign = -1.0 if study.metric.metric.higher is False else 1.0
    means = {row.arm: sign * row.cells[study.metric].mean.mean for row in study.table.rows}
    order = sorted(means, key=lambda arm: (math.isnan(means[arm]), -means[arm]))
    chosen = {study.table.baseline.arm, *order[: MANY - 1]}
    return {k for k, arm in enumerate(study.arms) if arm in chosen}

"""Sequential seeds: arms whose verdict is open get more of them, until it is settled or the cap is reached."""

from __future__ import annotations

from collections.abc import Callable

from paribus.ablation.cells import Cell, Plan, Read
from paribus.ablation.findings import family, implied, looks_of


def extend(plan: Plan, read: Read, further: Callable[[str, int], Cell]) -> None:
    """Adds the cells of the next look to the plan, as far as the records say which arms need them.

    Verdicts are looked at only when every run of a look is over, so that the same records give the same plan in
    whichever order they came. An ablation without hypotheses asks of each arm whether it is better than the baseline.

    further: (arm, seed) -> the cell.
    """
    looks = looks_of(plan.ablation)
    assert looks is not None
    assert plan.ablation is not None
    seeds = (*plan.ablation.seeds.report, *plan.ablation.seeds.more)
    while True:
        cells = [cell for row in plan.arms.values() for cell in row]
        if any(cell is None or not _over(read, cell.id) for cell in cells):
            plan.complete = False
            return
        wanted: dict[str, int] = {}
        for finding in family(plan, read, hypotheses=implied(plan)).findings:
            n = looks.next(finding.planned)
            if finding.open and n is not None:
                wanted.update({label: n for pair in finding.pairs for label in pair})
        short = {label: n for label, n in wanted.items() if len(plan.arms[label]) < n}
        if not short:
            return
        for label, n in short.items():
            plan.arms[label] += [further(label, seed) for seed in seeds[len(plan.arms[label]) : n]]


def _over(read: Read, id: str) -> bool:
    record = read(id)
    return record is not None and record.has_result

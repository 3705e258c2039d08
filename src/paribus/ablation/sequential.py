"""Sequential seeds: arms whose verdict is open get more of them, until it is settled or the cap is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paribus.ablation.cells import Cell, Plan, Read
from paribus.ablation.findings import family, implied, looks_of


def extend(plan: Plan, read: Read, further: Callable[[str, int, bool], None]) -> None:
    """Adds the cells of the next look to the plan, as far as the records say which arms need them.

    Verdicts are looked at only when every run of a look is over, so that the same records give the same plan in
    whichever order they came. An ablation without hypotheses asks of each arm whether it is better than the baseline.

    While runs at kept points are lacking, only further runs that have a result already are added: they were trained
    when an arm was reported at its winner alone.

    further: (arm, n, kept) adds an arm's cells up to n seeds, and where `kept` those at the points beside its winner.
    """
    looks = looks_of(plan.ablation)
    assert looks is not None

    def over(cells: Iterable[Cell | None]) -> bool:
        return all(cell and (record := read(cell.id)) and record.has_result for cell in cells)

    while True:
        complete = all(over(cells) for points in plan.kept.values() for cells in points.values())
        if not (found := all(map(over, plan.arms.values()))) or not complete:
            plan.complete = False
        wanted: dict[str, int] = {}
        for finding in family(plan, read, hypotheses=implied(plan)).findings if found else ():
            n = looks.next(finding.planned)
            if finding.open and n is not None:
                wanted.update({label: n for pair in finding.pairs for label in pair})
        grown = False
        for label, n in wanted.items():
            if (cells := plan.arms[label][:]) and len(cells) < n:
                further(label, n, complete)
                if not complete and not over(plan.arms[label]):
                    plan.arms[label] = cells
                else:
                    grown = True
        if not grown:
            return

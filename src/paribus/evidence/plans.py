"""Plans of ablations that are registered: after an amendment their looks spend only the error that is left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from paribus.ablation.cells import Plan, Read
from paribus.ablation.command import plan_command
from paribus.ablation.file import Ablation, Seeds
from paribus.ablation.planner import plan_ablation
from paribus.base.errors import UserError
from paribus.config.composer import Composer
from paribus.store.registration import Entry, Study, plain, read, reporting_in


def plans_of(arguments: Sequence[str], get: Read, composer: Composer | None = None) -> list[Plan]:
    """The plans of `paribus train -m ARGUMENTS`, see `plan_command`, with what is registered of each."""
    return plan_command(arguments, get, composer, registered_plan)


def registered_plan(ablation: Ablation, overrides: Sequence[str], get: Read, composer: Composer, name: str) -> Plan:
    """The plan of an ablation under its name; see `plan_ablation`.

    A file that was changed after it was registered is planned as if the change were registered now.
    """
    base, content, recipe = composer(overrides), plain(ablation), ""
    registration = read(Path(str(base.outputs)), name)
    with suppress(UserError):  # it is said of the arms that can't work
        recipe = base.run.setting
    study = registration.of(recipe)

    def plan(seeds: Seeds) -> Plan:
        return plan_ablation(replace(ablation, seeds=seeds), overrides, get, composer, name)

    amended = len(study.entries) > 1
    if study.entries and study.entries[-1].content != content:
        before, amended = plan(_seeds(ablation.seeds, study)), True
        study = Study((*study.entries, Entry("", recipe, seen(before, get), content)))
    found = plan(_seeds(ablation.seeds, study) if amended else ablation.seeds)
    return replace(found, registration=registration, entry=Entry("", recipe, seen(found, get), content))


def seen(plan: Plan, get: Read) -> int:
    """The largest number of reporting seeds of an arm that have results."""
    rows = [[get(cell.id) for cell in cells if cell is not None] for cells in plan.arms.values()]
    return max((sum(record is not None and record.has_result for record in row) for row in rows), default=0)


def _seeds(seeds: Seeds, study: Study) -> Seeds:
    sizes, shares = study.looks()
    found = [reporting_in(each.content) for each in reversed(study.entries)]
    every = next(each for each in found if len(each) >= sizes[-1])
    seeds = replace(seeds, report=tuple(every[: sizes[0]]), more=tuple(every[sizes[0] : sizes[-1]]))
    return replace(seeds, looks=sizes, shares=shares) if sizes[0] > 1 else seeds

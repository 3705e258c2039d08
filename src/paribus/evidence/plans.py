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
from paribus.store.registration import Entry, Registration, Study, plain, read, reporting_in, tests_in
from paribus.store.store import Store


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

    amended, looked_at = len(study.entries) > 1, 0
    if study.entries and study.entries[-1].content != content:
        before, amended = plan(_seeds(ablation.seeds, study)), True
        if tests_in(study.entries[-1].content) != tests_in(content):
            looked_at = reported(Store(Path(str(base.outputs))), registration, recipe)
        study = Study((*study.entries, Entry("", recipe, max(seen(before, get), looked_at), content)))
    found = plan(_seeds(ablation.seeds, study) if amended else ablation.seeds)
    entry = Entry("", recipe, max(seen(found, get), looked_at), content)
    return replace(found, registration=registration, entry=entry)


def seen(plan: Plan, get: Read) -> int:
    """The largest number of reporting seeds of an arm that have results."""
    rows = [[get(cell.id) for cell in cells if cell is not None] for cells in plan.arms.values()]
    return max((sum(record is not None and record.has_result for record in row) for row in rows), default=0)


def reported(store: Store, registration: Registration, recipe: str) -> int:
    """The same by the records that name an entry of this recipe, at whichever points they were trained.

    An amendment of the tuning may lead to points that have no results. What the earlier points showed was known all the
    same when it was made, so its looks are counted.
    """
    entries = {entry.hash: entry for entry in registration.of(recipe).entries}
    found: dict[str | None, set[int]] = {}
    for record in store.scan():
        entry = entries.get(str(record.provenance.get("registration")))
        if entry is None or record.ablation != registration.name or not record.has_result or record.seed is None:
            continue
        if record.seed in reporting_in(entry.content):
            found.setdefault(record.arm, set()).add(record.seed)
    return max(map(len, found.values()), default=0)


def _seeds(seeds: Seeds, study: Study) -> Seeds:
    sizes, shares = study.looks()
    found = [reporting_in(each.content) for each in reversed(study.entries)]
    every = next(each for each in found if len(each) >= sizes[-1])
    seeds = replace(seeds, report=tuple(every[: sizes[0]]), more=tuple(every[sizes[0] : sizes[-1]]))
    return replace(seeds, looks=sizes, shares=shares) if sizes[0] > 1 else seeds

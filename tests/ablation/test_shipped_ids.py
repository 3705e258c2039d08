"""Every shipped record keeps its id: planning all ablations of conf/ablation leads to the packed ids again.

A record that no plan asks for is lost, and its training with it. Packed plans hold ids and no configuration, so the
ablations are planned as a user would, with the winners of tuning from the shipped records.
"""

from pathlib import Path

import pytest
from shipped_results import shipped

from paribus.ablation.command import plan_command
from paribus.config.composer import Composer
from paribus.notes import ablations as notes
from paribus.store.record import Record
from paribus.store.retired import read_retired, why_retired

RESULTS = Path(__file__).parents[2] / "results"
RETIRED = read_retired(RESULTS / "retired.yaml")


def read(id):
    """Seeds that are not shipped yet, and which an open verdict asks for, count as trained without a result in any
    metric: else no look beyond them would be planned."""
    return shipped().record(id) or Record(id, "done")


@pytest.fixture(scope="module")
def planned():
    """All shipped ablations, planned as of now: ablation -> title -> plan."""
    composer = Composer()
    return {
        name: {plan.name: plan for plan in plan_command([f"ablation={name}"], read, composer)}
        for name in shipped().plans
    }


def places(plan):
    """Where in the plan each run stands -> its id."""
    found = {(arm, number): cell.id for arm, cells in plan.arms.items() for number, cell in enumerate(cells) if cell}
    for arm, tuned in plan.tuned.items():
        for point, ids in tuned.trials:
            found |= {(arm, str(sorted(point.items())), number): id for number, id in enumerate(ids)}
    return found


def retired(id):
    return (record := shipped().record(id)) is not None and why_retired(record, RETIRED) is not None


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "aa" else name for name in sorted(notes.names())]
)
def test_the_ids_of_a_shipped_ablation_come_out_again(name, planned):
    for packed in shipped().plans[name]:
        now, then = places(planned[name][packed.name]), places(packed)
        lost = {place: id for place, id in then.items() if not retired(id) and now.get(place) != id}
        assert not lost, f"{len(lost)} of {len(then)} shipped records are lost, e.g. {next(iter(lost.items()))}"


@pytest.mark.parametrize("name", sorted(set(notes.names()) - {"aa"}))
def test_the_results_ask_what_the_files_ask(name, planned):
    """Packed plans have hypotheses of their own: a file that changes has to be packed again."""
    for packed in shipped().plans[name]:
        now = planned[name][packed.name].ablation
        assert packed.ablation is not None
        assert packed.ablation.hypotheses == now.hypotheses


def test_the_results_hold_every_ablation_of_the_notes():
    assert sorted(shipped().plans) == sorted(notes.names())


def test_every_shipped_record_is_asked_for_but_those_that_are_retired(planned):
    asked = {cell.id for plans in planned.values() for plan in plans.values() for cell in plan.cells}
    assert len(shipped().records) > 9000
    assert {id for id in shipped().records if id not in asked} == {id for id in shipped().records if retired(id)}

"""The figures of all shipped ablations: legible type at the width of a column, and no word on another or cut off."""

from __future__ import annotations

import pytest
from looks import check_figure, texts
from shipped_results import shipped

from paribus.config.composer import Composer
from paribus.evidence.plans import plans_of
from paribus.notes import ablations as notes
from paribus.report.collect import Collected, shown_metrics
from paribus.report.figures.catalogue import FIGURES, OF_STUDIES, Missing, of_study
from paribus.report.figures.sheet import caption
from paribus.report.figures.style import COLUMN, TEXT
from paribus.report.study import study

QUICK = {"path": ("path", "forest", "sensitivity")}


def studies(name):
    read = shipped().record
    for plan in plans_of([f"ablation={name}"], read, Composer()):
        arms = {arm: [None if cell is None else read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
        yield study(
            plan.name, arms, shown_metrics(Collected(plan.name, arms, plan.metric, plan)), plan, read, lambda id: {}
        )


def check(name, wanted, width):
    found = list(studies(name))
    drawn = [figure for each in found for _, figure in of_study(each, wanted, width)]
    drawn += [draw(name, found, width) for draw in OF_STUDIES.values()]
    shown = [figure for figure in drawn if not isinstance(figure, Missing)]
    assert shown
    for figure in shown:
        check_figure(figure, width)
        said = caption(figure)
        for told in ("Asked: ", "Compared, in ablation ", "everything else being equal (", "run", "uned"):
            assert told in said, said


@pytest.mark.parametrize("name", QUICK)
def test_figures_of_a_few_fit_a_column(name):
    check(name, QUICK[name] or list(FIGURES), COLUMN)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", [COLUMN, TEXT], ids=["column", "text"])
@pytest.mark.parametrize("name", notes.names())
def test_figures_of_all_fit(name, width):
    check(name, list(FIGURES), width)


def test_labels_name_their_factors():
    first = next(studies("momentum"))
    [(_, seeds)] = of_study(first, ["seeds"])
    assert {"momentum 0", "momentum 0.9"} <= set(texts(seeds))

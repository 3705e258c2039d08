"""One legend for a page: who shares an entry, who is told apart, and who is drawn at first."""

from __future__ import annotations

from made_studies import made, made_grid

from paribus.report.page.legend import MANY, legend
from paribus.report.page.render import page


def test_an_arm_has_one_entry_in_all_regimes():
    found = legend(made(regimes=("F", "T")).studies)
    assert found.names == ("b32", "b8", "b128")
    assert found.places == ((0, 1, 2), (0, 1, 2))
    assert found.shown == {0, 1, 2}
    assert found.baselines == {0}


def test_arms_of_two_ablations_share_an_entry_where_they_are_the_same():
    first, second = made(regimes=("F",)), made(arms=("b8", "b512"), regimes=("F",), name="other")
    found = legend([*first.studies, *second.studies])
    assert found.names == ("b32", "b8", "b128", "b512")
    assert found.places == ((0, 1, 2), (1, 3))
    assert found.baselines == {0}, "b8 is the baseline of one and an arm of the other"
    second.plans[0].levels["b8"] = {"model": "b8"}
    found = legend([*first.studies, *second.studies])
    assert found.names == ("b32", "b8 (batch)", "b128", "b8 (other)", "b512")
    assert found.places == ((0, 1, 2), (3, 4))


def test_of_many_arms_the_baseline_and_the_best_are_drawn_at_first():
    study = made(arms=[f"arm {k}" for k in range(15)], regimes=("F",)).studies[0]
    found = legend([study])
    assert len(found.shown) == MANY
    assert found.shown == {0, *range(4, 15)}, "later arms are better in this regime"
    assert legend([made_grid()]).shown == set(range(6))


def test_two_ablations_are_two_sections_with_one_legend():
    first, second = made(), made(arms=("b8", "b512"), regimes=("F",), name="other")
    text = page("batch and other", [*first.studies, *second.studies], [], "paribus train -m ablation=batch,other")
    assert text.count('class="legend"') == 1
    assert text.count('<section class="ablation"') == 2
    assert 'aria-label="Ablation other"' in text
    assert text.count('data-chart="regimes"') == 1, "the second has one regime"
    assert "2 ablations beside each other" in text
    for study, name in zip(first.studies, ("F", "T"), strict=True):
        object.__setattr__(study, "name", f"batch [{name}] (ablation=batch, model=mlp)")
    text = page("batch and other", [*first.studies, *second.studies], [], "paribus train -m ablation=batch,other")
    assert 'aria-label="Ablation batch (model=mlp)"' in text
    first.gather()
    single = page("batch", first.studies, [], "paribus train -m ablation=batch")
    assert 'aria-label="Ablation' not in single
    assert "2 ablations" not in single

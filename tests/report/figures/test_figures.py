"""Each figure shows the numbers it is given, cuts nothing off, covers nothing, and takes any name as it stands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from looks import check_figure, texts
from matplotlib.colors import to_hex
from scipy import stats

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, Key, Metric
from paribus.evidence.arms import ReportError
from paribus.evidence.budgets import ArmBudget, Budgets, Gap
from paribus.evidence.data_sets import Across
from paribus.evidence.targets import ArmTimes, TargetTimes
from paribus.report.figures.axes import shortened, tick, without_outliers, wrapped
from paribus.report.figures.catalogue import FIGURES, Missing, of_data_sets, of_regimes, of_run, of_study, of_tasks
from paribus.report.figures.differences import GAIN, LOSS, Compared, Step, forest, regimes, seed_dots, waterfall
from paribus.report.figures.factors import heat_map, interaction
from paribus.report.figures.ranks import critical_difference
from paribus.report.figures.runs import edge_of_stability, gradient_over_loss, training
from paribus.report.figures.saving import save
from paribus.report.figures.search import best_of_k, budgets, profile, sensitivity, trials
from paribus.report.figures.sheet import caption, spread
from paribus.report.figures.speed import speed_profile, time_to_target
from paribus.report.figures.style import COLUMN, TEXT, inches
from paribus.report.figures.timing import batch_times
from paribus.report.tidy import Crossed, Searched
from paribus.stats.budgets import After
from paribus.stats.intervals import mean_interval
from paribus.stats.ranks import ranked
from paribus.stats.survival import kaplan_meier, median

TEST, VAL = FIRST.key("test/acc"), FIRST.key("val/acc")

NAMES = [f"arm {k}" for k in range(22)]
HOSTILE = ["$x^{", "_hidden", "a\nb", r"\frac{", "%", "x" * 300, "", "<b>&", "日本"]  # the last may lack its glyphs


def compared(names=NAMES) -> list[Compared]:
    return [
        Compared(arm, 5, 0.01 * k - 0.05, 0.01 * k - 0.08, 0.01 * k - 0.02, 0.1, (("", "REVERSED"),))
        for k, arm in enumerate(names)
    ]


def values(names=NAMES) -> dict[str, dict[int, float]]:
    return {arm: {seed: 0.9 + 0.001 * k + 0.002 * seed for seed in range(4)} for k, arm in enumerate(names)}


def scores(names=NAMES) -> dict[str, dict[float, list[float]]]:
    return {
        arm: {r: [0.9 - 0.01 * abs(k - i), math.nan] for i, r in enumerate((0.01, 0.1, 1.0))}
        for k, arm in enumerate(names)
    }


DRAWN = {
    "forest": lambda names, width=COLUMN: forest("norm", compared(names), TEST, names[0], 0.005, width=width),
    "seeds": lambda names, width=COLUMN: seed_dots("norm", values(names), TEST, width=width),
    "regimes": lambda names, width=COLUMN: regimes(
        "norm", {r: _means(names) for r in ("F", "T", names[0])}, TEST, width=width
    ),
    "path": lambda names, width=COLUMN: waterfall(
        "norm", [Step(n, 0.9, 0.01, 0.005, 0.015) for n in names], TEST, width=width
    ),
    "sensitivity": lambda names, width=COLUMN: sensitivity(
        "norm", scores(names), "optimizer.lr", VAL, {names[0]: 0.1}, width=width
    ),
    "trials": lambda names, width=COLUMN: trials("norm", searched(names), VAL, width=width),
    "budgets": lambda names, width=COLUMN: budgets("norm", tried(names), width=width),
    "best_of_k": lambda names, width=COLUMN: best_of_k("norm", {n: [0.8, 0.9, 0.7] for n in names}, VAL, width=width),
    "profile": lambda names, width=COLUMN: profile(
        "norm", {n: [0.9, 0.91 + 0.001 * k] for k, n in enumerate(names)}, TEST, width=width
    ),
    "critical_difference": lambda names, width=COLUMN: critical_difference("norm", _across(names), width=width),
    "heat_map": lambda names, width=COLUMN: heat_map("norm", _crossed(names), TEST, width=width),
    "interaction": lambda names, width=COLUMN: interaction("norm", _crossed(names), TEST, width=width),
    "time_to_target": lambda names, width=COLUMN: time_to_target("norm", [times(names)] * 2, width=width),
    "speed_profile": lambda names, width=COLUMN: speed_profile(
        "norm", {n: [10.0, 20.0 + k] for k, n in enumerate(names)}, 2, width=width
    ),
    "batch_times": lambda names, width=COLUMN: batch_times(
        "norm", *[{n: {8: [1.0], 64: [2.0, 2.5]} for n in names}] * 2, width=width
    ),
}


def times(names, reached=(3.0, 5.0, 9.0), never=1):
    """Runs of each arm that reach a target at these epochs, each arm an epoch later; some never do."""
    arms = {}
    for number, arm in enumerate(names):
        at = [epoch + number for epoch in reached] + [math.inf] * never
        there = [math.isfinite(time) for time in at]
        curve = kaplan_meier(at, there)
        arms[arm] = ArmTimes([None] * len(at), {}, median(curve), curve)
    return TargetTimes(VAL, 0.97, "epochs", arms, names[0], {"epochs": 40.0}, 0.95, 1, (1.0, 1.0))


def searched(names, lost=math.nan):
    """Three trials of each arm over a rate and a width; of the third all runs diverged."""
    rates, widths = (0.01, 0.1, 1.0), (8.0, 32.0, 16.0)
    scores = {arm: [[0.8, 0.9], [0.9, 0.92 - 0.001 * k], [lost, lost]] for k, arm in enumerate(names)}
    return [
        Searched(
            key, key.endswith("lr"), {arm: list(zip(x, of, strict=True)) for arm, of in scores.items()}, {names[0]: 1}
        )
        for key, x in (("optimizer.lr", rates), ("model.width", widths))
    ]


def tried(names):
    """The first arm is ahead after one trial, the others from two on."""
    arms = {}
    for number, arm in enumerate(names):
        means = [0.5 + (0.04 + 0.001 * number) * k - 0.1 * (number > 0) * (k == 1) for k in range(1, 9)]
        curve = [
            After(k, m, *((m - 0.02, m + 0.02) if k <= 4 else (math.nan,) * 2), 0.0) for k, m in enumerate(means, 1)
        ]
        gaps = {k: Gap(After(k, -0.1 if k == 1 else 0.01, -0.2, 0.1, 0.01), 0.01) for k in (1, 2, 4)}
        arms[arm] = ArmBudget(curve, gaps if number else {})
    return Budgets(TEST, VAL, arms, names[0], 8, 3, 0.95, 3)


def _means(names):
    return {n: mean_interval([0.9, 0.91, 0.92 + 0.001 * k]) for k, n in enumerate(names)}


def _across(names):
    scores = np.random.default_rng(0).normal(size=(9, len(names))) - 0.4 * np.arange(len(names))
    return Across("norm", TEST, tuple(names), tuple(f"d{k}" for k in range(9)), scores, ranked(scores))


def _crossed(names):
    means = {
        (k, m): mean_interval([0.9, 0.91 + 0.001 * k, 0.92 - 0.001 * m]) for k in range(len(names)) for m in (0, 1)
    }
    return Crossed((names[0], tuple(names)), ("size", ("b8", "b64")), means, (), 0.04)


SLOW = pytest.mark.slow  # half of these are as many as are tried every time
MORE = (2, COLUMN), (22, COLUMN), (6, TEXT), (22, TEXT)


@pytest.mark.parametrize(
    ("arms", "width"),
    [(6, COLUMN), (12, COLUMN), *(pytest.param(*each, marks=SLOW) for each in MORE)],
)
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_as_wide_as_its_column_in_legible_type_and_nothing_touches(name, arms, width):
    check_figure(DRAWN[name](NAMES[:arms], width), width)


@pytest.mark.parametrize("name", DRAWN)
def test_hostile_names_are_drawn_as_they_stand(name, tmp_path):
    names = HOSTILE[:-1]
    figure = DRAWN[name](names)
    shown = "\n".join(texts(figure))
    assert all(word in shown for word in ("$x^{", "_hidden", "a b", r"\frac{", "(no"))
    assert "x" * 39 + "…" in shown.replace("\n", "")
    path, beside = save(figure, tmp_path / name, ("pdf",))
    assert path.read_bytes().startswith(b"%PDF")
    assert beside.read_text() == f"{caption(figure)}\n"


@pytest.mark.parametrize("name", ["forest", "profile"])
def test_the_same_data_give_the_same_bytes(name, tmp_path):
    first, second = (save(DRAWN[name](NAMES[:3]), tmp_path / k, ("pdf",))[0].read_bytes() for k in "ab")
    assert first == second


def test_the_forest_shows_intervals_zero_and_the_smallest_effect():
    figure = forest("norm", compared(["a", "b"]), TEST, "base", 0.005)
    panel = figure.axes[0]
    upright = sorted(
        line.get_xdata()[0] for line in panel.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    )
    assert upright == [-0.5, 0, 0.5]
    spans = [tuple(line.get_xdata()) for line in panel.lines if len(set(line.get_xdata())) == 2]
    assert spans == [pytest.approx((-8, -2)), pytest.approx((-7, -1))]
    assert "−5.0 (−8.0 to −2.0)\np 0.100 REVERSED" in texts(figure)
    wide = forest("norm", compared(["a", "b"]), TEST, "base", 0.005, width=TEXT)
    assert "−5.0 (−8.0 to −2.0)  p 0.100  REVERSED" in texts(wide)
    assert "the verdicts answer “better than base?”" in caption(figure)
    assert "test accuracy: difference from\nbase (points)" in texts(figure)
    # What excludes zero is filled.
    faces = [to_hex(line.get_markerfacecolor()) for line in panel.lines if line.get_marker() == "o"]
    crossing = forest("norm", [Compared("a", 5, 0.0, -0.1, 0.1)], TEST, "base").axes[0]
    assert "#ffffff" not in faces
    assert to_hex(crossing.lines[-1].get_markerfacecolor()) == "#ffffff"


def test_seeds_are_joined_and_a_gap_is_left_where_one_is_missing():
    given = values(["a", "b", "c"])
    del given["b"][2]
    panel = seed_dots("norm", given, TEST).axes[0]
    joins = [line for line in panel.lines if len(line.get_ydata()) == 3 and line.get_color() == "#8a8a8a"]
    assert len(joins) == 4
    np.testing.assert_allclose(joins[0].get_xdata(), [100 * given[arm][0] for arm in "abc"])
    assert np.isnan(joins[2].get_xdata()[1])


def test_few_outliers_become_arrows_with_their_values():
    given = values(["a", "b", "c"])
    given["b"][2] = 0.113
    figure = seed_dots("norm", given, TEST)
    panel = figure.axes[0]
    assert panel.get_xlim()[0] > 60
    assert [tuple(line.get_ydata()) for line in panel.lines if line.get_marker() == "<"] == [(1,)]
    assert "11.3" in texts(figure)
    assert "Arrows: 1 runs lie beyond the axis" in caption(figure)
    assert "rrow" not in caption(seed_dots("norm", values(["a", "b", "c"]), TEST))
    assert without_outliers([*range(20), 1000.0]) == list(range(20))
    assert without_outliers([*range(20), *range(1000, 1004)])[-1] == 1003  # too many to be outliers


def test_the_waterfall_adds_up():
    steps = [Step("base", 0.8), Step("+ a", 0.85, 0.05, 0.04, 0.06), Step("+ b", 0.84, -0.01, -0.02, 0.0)]
    figure = waterfall("path", steps, TEST)
    panel = figure.axes[0]
    tops = [bar.get_x() + bar.get_width() for bar in panel.patches]
    assert tops == pytest.approx([85, 84])
    assert [bar.get_x() for bar in panel.patches] == pytest.approx([80, 85])
    assert {"80", "+5.0", "−1.0"} <= set(texts(figure))


def test_no_interval_leaves_the_range_of_its_metric():
    steps = [Step("base", 0.8), Step("+ a", 0.98, 0.18, 0.05, 0.31)]
    drawn = [line for line in waterfall("path", steps, TEST).axes[0].lines if line.get_marker() == "|"]
    np.testing.assert_allclose(drawn[0].get_xdata(), [85, 100])
    wide = {r: {"a": mean_interval([0.4, 0.99]), "b": mean_interval([0.2, 0.5])} for r in ("F", "T")}
    for panel in regimes("norm", wide, TEST).axes:
        assert all(0 <= x <= 100 for line in panel.lines for x in line.get_xdata())


def test_sensitivity_marks_optima_and_what_diverged():
    given = {"a": {0.01: [0.8, 0.9], 0.1: [0.9, 0.95], 1.0: [math.nan, math.nan]}}
    figure = sensitivity("lr", given, "optimizer.lr", VAL, {"a": 0.1})
    panel = figure.axes[0]
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [85, 92.5, np.nan])
    ring = next(line for line in panel.lines if line.get_markerfacecolor() == "none")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((0.1, 92.5))
    [below] = panel.child_axes
    assert [line.get_xdata()[0] for line in below.lines] == [1.0]
    assert [label.get_text() for label in below.get_yticklabels()] == ["diverged"]
    assert below.get_window_extent().y1 < panel.get_window_extent().y0  # below every value
    assert panel.get_xscale() == "log"
    assert "mean over 2 tuning seeds" in caption(figure)
    assert "Crosses below: runs diverged there" in caption(figure)


def test_trials_have_a_panel_for_each_key_and_a_ring_at_the_one_chosen():
    figure = trials("norm", searched(["a", "b"]), VAL)
    lr, width = figure.axes
    assert (lr.get_xscale(), width.get_xscale()) == ("log", "linear")
    for panel, x in ((lr, [0.01, 0.1, 1.0]), (width, [8.0, 32.0, 16.0])):
        dots, ring, *_ = panel.lines
        cross = panel.child_axes[0].lines[0]
        assert list(dots.get_xdata()) == x
        assert dots.get_linestyle() == "None"
        assert list(dots.get_ydata())[:2] == pytest.approx([85.0, 91.0])
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (x[1], pytest.approx(91.0))
        assert cross.get_xdata()[0] == x[2]
    assert "Crosses below: all runs of a trial diverged" in caption(figure)
    assert "ross" not in caption(trials("norm", searched(["a"], lost=0.1), VAL))


def test_budgets_have_bands_up_to_half_and_marks_of_who_is_ahead():
    figure = budgets("norm", tried(["a", "b"]))
    [panel] = figure.axes
    first, second, *marks = panel.lines
    assert list(first.get_xdata()) == list(range(1, 9))
    assert [list(line.get_xdata()) for line in marks] == [[1], [2, 4]]
    assert [line.get_color() for line in marks] == [first.get_color(), second.get_color()]
    bands = [collection.get_paths()[0].vertices for collection in panel.collections]
    assert [(band[:, 0].min(), band[:, 0].max()) for band in bands] == [(1, 4), (1, 4)]
    assert "Band: 95 % interval at each k" in caption(figure)


def test_best_of_k_is_the_mean_over_all_subsets():
    from itertools import combinations

    own = [0.7, 0.9, 0.8, 0.6]
    curve = best_of_k("lr", {"a": own}, VAL).axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(curve, [100 * np.mean([max(c) for c in combinations(own, k)]) for k in (1, 2, 3, 4)])
    losses = best_of_k("lr", {"a": own}, FIRST.key("val/loss")).axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(losses, [np.mean([min(c) for c in combinations(own, k)]) for k in (1, 2, 3, 4)])


def test_the_profile_is_the_share_of_runs_above_with_an_exact_interval():
    own = [0.5, 0.6, 0.7, math.nan, 0.4]
    panel = profile("norm", {"a": own}, TEST).axes[0]
    taus, shares = panel.lines[0].get_data()
    at = int(np.searchsorted(taus, 60.0))
    assert shares[at] == 0.2  # one of five is above 60, of which one diverged
    interval = stats.binomtest(1, 5).proportion_ci(method="exact")
    band = panel.collections[0].get_paths()[0].vertices
    assert {round(interval.low, 6), round(interval.high, 6)} <= set(np.round(band[:, 1], 6))


def _two_by_three() -> Crossed:
    values = {(k, m): [0.9 + 0.01 * k + 0.002 * m * k + 0.001 * s for s in range(4)] for k in (0, 1) for m in (0, 1, 2)}
    del values[1, 2]
    means = {place: mean_interval(own) for place, own in values.items()}
    return Crossed(("norm", ("batch", "none")), ("size", ("b8", "b64", "b512")), means, ("optimizer",), 0.0004)


def test_the_heat_map_has_a_number_at_every_place_and_a_dash_where_there_is_no_arm():
    figure = heat_map("two", _two_by_three(), TEST)
    panel = figure.axes[0]
    shown = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in panel.texts}
    assert shown == {(0, 0): "90.15", (0, 1): "90.15", (0, 2): "90.15", (1, 0): "91.15", (1, 1): "91.35", (1, 2): "–"}
    assert panel.images[0].get_array()[1, 1] == pytest.approx(91.35)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["batch", "none"]
    assert (panel.get_xlabel(), figure.axes[1].get_xlabel()) == ("size", "test accuracy (%)")
    assert "Averaged over optimizer" in caption(figure)


def test_the_interaction_has_a_line_for_each_level_of_the_factor_with_fewer_and_a_gap():
    figure = interaction("two", _two_by_three(), TEST)
    panel = figure.axes[0]
    lines = [line for line in panel.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose([line.get_ydata() for line in lines], [[90.15] * 3, [91.15, 91.35, np.nan]])
    bars = [line for line in panel.lines if len(line.get_xdata()) == 2]
    own = stats.ttest_1samp([90.0, 90.1, 90.2, 90.3], 0).confidence_interval()
    np.testing.assert_allclose(bars[0].get_ydata(), [own.low, own.high])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["b8", "b64", "b512"]
    assert {"norm batch", "norm none"} <= set(texts(figure))
    assert "Lines are parallel where factors do not interact (p < 0.001, Holm)" in caption(figure)


def test_a_line_rises_where_a_run_reaches_the_target():
    figure = time_to_target("norm", [times(["a", "b"], never=2)])
    panel = figure.axes[0]
    line = panel.lines[0]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_data(), [[0, 3, 5, 9, 40], [0, 0.2, 0.4, 0.6, 0.6]])
    assert (panel.get_xlabel(), panel.get_title()) == ("epochs", "validation accuracy of 97 % or more")
    band = panel.collections[0].get_paths()[0].vertices[:, 1]
    assert len(time_to_target("norm", [times(["a"])]).axes[0].collections) == 0  # four runs: the line shows each
    curve = times(["a"], never=2).arms["a"].curve
    assert {round(1 - each, 9) for each in (*curve.low, *curve.high)} <= set(np.round(band, 9))


def test_the_speed_profile_is_the_share_of_tasks_within_a_factor():
    panel = speed_profile("norm", {"a": [10.0, 30.0, math.inf], "b": [20.0, 15.0, 5.0]}, 3).axes[0]
    right = 2.2
    np.testing.assert_allclose(panel.lines[0].get_data(), [[1, 2, right], [1 / 3, 2 / 3, 2 / 3]])
    np.testing.assert_allclose(panel.lines[1].get_data(), [[1, 2, right], [2 / 3, 1, 1]])


def test_tasks_are_the_targets_of_all_regimes(make):
    made = make()
    assert len(of_tasks("batch", made.studies).axes[0].lines) == 3
    assert "two targets or more" in of_tasks("batch", made.studies[:1]).reason


def test_bars_join_arms_that_the_regimes_do_not_tell_apart():
    scores = np.arange(9.0)[:, None] + np.array([0, 5, 5.1]) * np.where(np.arange(9) % 2, 1, 1.1)[:, None]
    scores[::2, 1] += 1
    found = Across("x", TEST, ("a", "b", "c"), tuple("123456789"), scores, ranked(scores))
    figure = critical_difference("x", found)
    panel = figure.axes[0]
    bars = [line for line in panel.lines if line.get_color() == "#0072B2"]
    [bar] = bars
    low, high = bar.get_xdata()
    ranks = found.ranks.mean
    assert low <= min(ranks[1:])
    assert max(ranks[1:]) <= high < ranks[0] == 3
    assert {"c (1.56)", "b (1.44)", "a (3.00)"} == {text.get_text() for text in panel.texts}


def test_times_lie_on_logarithmic_axes_with_the_line_of_saturation():
    figure = batch_times("b", {"all": {8: [1.0, 1.2], 64: [2.0]}}, {"all": {8: [4.0], 64: [1.0]}})
    assert [(p.get_xscale(), p.get_yscale()) for p in figure.axes] == [("log", "log")] * 2
    assert [line.get_ydata()[0] for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1][
        -1
    ] == pytest.approx(1.65)
    assert len(figure.legends) == 0


HISTORY = {
    "epoch": [1, 2, 3, 4], "step": [5, 10, 15, 20], "seconds": [1, 2, 3, 4], "lr": [0.1, 0.1, 0.05, 0.01],
    "train/loss": [2.0, 1.0, 0.5, 0.4], "val/loss": [2.1, 1.2, math.nan, 0.6], "val/acc": [0.3, 0.6, math.nan, 0.92],
    "grad_norm": [3.0, 2.0, 1.0, 0.2], "sharpness": [10.0, math.nan, 40.0, 100.0],
}  # fmt: skip


def test_a_run_has_its_curves_its_rate_and_its_gradient_over_its_loss():
    figure = training("run", HISTORY, FIRST)
    assert [panel.get_ylabel() for panel in figure.axes] == ["loss", "accuracy (%)", "learning rate"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_data(), [[1, 2, 4], [2.1, 1.2, 0.6]])
    above, below = gradient_over_loss("run", HISTORY).axes
    assert above.get_shared_x_axes().joined(above, below)
    np.testing.assert_allclose(below.lines[0].get_data(), [HISTORY["step"], HISTORY["grad_norm"]])
    assert below.lines[1].get_ydata()[0] == pytest.approx(0.3)


def test_the_edge_of_stability_is_at_one():
    panel = edge_of_stability("run", HISTORY).axes[0]
    edge, half, product = panel.lines
    assert (set(edge.get_ydata()), set(half.get_ydata())) == ({1}, {0.5})
    np.testing.assert_allclose(product.get_data(), [[5, 15, 20], [0.5, 1.0, 0.5]])
    recorded = {**HISTORY, "sharpness_lr_half": [0.5, 1.2, 1.4, 1.8], "stability": [0.26, 0.63, 0.74, 0.95]}
    figure = edge_of_stability("run", recorded)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), recorded["sharpness_lr_half"])
    assert "share of the edge\nunder momentum" in texts(figure)
    assert "dotted" not in caption(figure)  # one at 1/2 would say nothing of momentum


@pytest.mark.parametrize("width", [COLUMN, TEXT], ids=["column", "text"])
def test_figures_of_a_run_are_as_wide_as_a_column(width):
    moved = {**HISTORY, "sharpness_lr_half": [0.5, 1.2, 1.4, 1.8], "stability": [0.26, 0.63, 0.74, 0.95]}
    for history in (HISTORY, moved):
        for drawn in dict(of_run("run", history, FIRST, width)).values():
            check_figure(drawn, width)


def test_what_a_run_did_not_record_is_said():
    drawn = dict(of_run("run", {"epoch": [1.0], "step": [1.0], "train/loss": [1.0]}, FIRST))
    assert isinstance(drawn["edge_of_stability"], Missing)
    assert drawn["gradient_over_loss"].reason == "the history of this run has no grad_norm"
    with pytest.raises(ReportError, match="no train/loss"):
        training("run", {"epoch": [1.0]}, FIRST)


def test_an_ablation_gets_every_figure_that_it_supports_and_a_reason_for_each_other(make):
    made = make()
    fixed, tuned = (dict(of_study(each, list(FIGURES))) for each in made.studies)
    left_out = {name: figure.reason for name, figure in fixed.items() if isinstance(figure, Missing)}
    assert list(left_out) == ["sensitivity", "best_of_k", "path", "heat_map", "interaction"]
    assert all("ablation." in reason for reason in left_out.values())
    left_out = [name for name, figure in tuned.items() if isinstance(figure, Missing)]
    assert left_out == ["path", "heat_map", "interaction"]
    assert not isinstance(of_regimes("batch", made.studies), Missing)
    assert "ablation.regimes" in of_regimes("batch", made.studies[:1]).reason
    assert "ablation.regimes" in of_data_sets("batch", made.studies).reason
    assert any("H1 REVERSED" in text.replace("\n", " ") for text in texts(tuned["forest"]))
    sizes = tuned["batch_times"].axes[0].lines[0].get_xdata()
    assert list(sizes) == [8, 32, 128]


def test_names_are_broken_behind_commas_then_at_spaces_then_behind_signs():
    assert wrapped("norm none, batch size 64", 1.0) == "norm none,\nbatch size 64"
    assert wrapped("without label smoothing", 0.9) == "without label\nsmoothing"
    assert wrapped("loss=label_smoothing", 0.8) == "loss=label_\nsmoothing"
    assert set(map(len, wrapped("x" * 20, 0.3).split("\n")[:-1])) == {5}
    assert wrapped("a,b, c,", 0.1).replace("\n", "") == "a,b,c,"
    long = "optimizer adagrad_rms, scheduler constant"  # more than a line may have
    assert wrapped(long, 1.0) == "optimizer\nadagrad_rms,\nscheduler constant"


def test_ticks_are_numbers_as_people_write_them():
    names = ["batch", "layer"]
    times = {name: {8: [1.0], 512: [300.0], 1024: [1500.0], 2048: [2900.0]} for name in names}
    figure = batch_times("norm", times, times)
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks[:2] == ["8", "512"]  # beside it there is no room for the next
    assert "1024" not in ticks
    assert [tick(value) for value in (0.00316228, 3.16228e-5, 0.1, 64, 1024, 123456, 2e6)] == [
        "0.00316", "3.16e-5", "0.1", "64", "1024", "123456", "2e6"
    ]  # fmt: skip


def test_names_stand_as_near_as_can_be_to_the_ends_of_their_lines():
    assert spread([0.5, 1.5], [0.2, 0.2], 2.0) == pytest.approx([0.5, 1.5])
    assert spread([1.0, 1.0, 1.0], [0.2] * 3, 2.0) == pytest.approx([0.8, 1.0, 1.2])
    assert spread([2.0, 0.0], [0.4, 0.2], 2.0) == pytest.approx([1.8, 0.1])
    rng = np.random.default_rng(0)
    for _ in range(50):
        wanted, tall = rng.uniform(0, 2, 6), rng.uniform(0.1, 0.3, 6)
        found = spread(wanted, tall, 2.0)
        order = np.argsort(found)
        gaps = np.diff(np.array(found)[order]) - (tall[order][1:] + tall[order][:-1]) / 2
        assert (gaps > -1e-9).all()
        assert found[order[0]] - tall[order[0]] / 2 > -1e-9
        assert found[order[-1]] + tall[order[-1]] / 2 < 2 + 1e-9


@pytest.mark.parametrize("name", ["best_of_k", "time_to_target", "trials"])
def test_up_to_six_arms_share_a_panel_in_colours_of_their_own_and_more_have_panels(name):
    """No colour stands for two arms."""
    figure = DRAWN[name](NAMES[:6])
    samples = [to_hex(line.get_color()) for line in figure.artists if getattr(line, "get_markevery", list)() == [1]]
    assert len(samples) == 6 * len(figure.axes)
    assert len(set(samples)) == 6
    many = DRAWN[name](NAMES[:12])
    titles = [panel.get_title().replace("\n", " ") for panel in many.axes]
    assert titles[:12] == NAMES[:12]
    inks = {to_hex(line.get_color()) for panel in many.axes for line in panel.lines if line.get_marker() != "o"}
    assert inks <= {"#000000", "#c4c4c4", "#0072b2"}
    assert "each arm (blue) has a panel of its own" in caption(many).replace("Each", "each")


def test_widths_are_named_or_inches():
    assert (inches("column"), inches("text"), inches("5.5")) == (COLUMN, TEXT, 5.5)
    for wrong in ("1", "wide", "nan", "100"):
        with pytest.raises(UserError, match=f"from 2.5 to 14, got {wrong}"):
            inches(wrong)


def test_long_names_lose_the_sections_of_their_keys_before_their_values():
    long = "evaluation.statistics=moving, norm.activation.momentum=0.5"
    assert shortened(long) == "statistics=moving, momentum=0.5"
    assert shortened("optimizer.lr=0.1") == "optimizer.lr=0.1"
    assert shortened("x" * 60) == "x" * 39 + "…"


def test_blue_is_better_whichever_direction_is():
    """A forest's and a path's colours say better and worse, not higher and lower."""
    down = [Compared("a", 5, -0.1, -0.15, -0.05)]
    steps = [Step("a", 0.9), Step("b", 0.8, -0.1, -0.15, -0.05)]
    for better, colour in (("higher", LOSS), ("lower", GAIN)):
        key = Key("test/x", Metric("x", better))
        assert forest("x", down, key, "base").axes[0].lines[1].get_color() == colour
        bar = waterfall("x", steps, key).axes[0].patches[0]
        assert to_hex(bar.get_facecolor()) == colour.lower()


def test_a_unit_stands_on_the_axis():
    key = Key("test/rmse", Metric("rmse", "lower", "km"))
    drawn = forest("x", [Compared("a", 5, -0.1, -0.15, -0.05)], key, "base")
    assert "test RMSE: difference from\nbase (km)" in texts(drawn)
    assert seed_dots("x", {"a": {0: 1.0, 1: 2.0}}, key).axes[0].get_xlabel() == "test RMSE (km)"


def test_a_loss_that_falls_by_decades_stands_on_logarithmic_axes():
    """Regimes span the same ratio, an interval that reaches below zero ends at the axis, and no number is 0.0000."""
    key = FIRST.key("test/loss")
    small, large = mean_interval([1e-6, 2e-6, 9e-5]), mean_interval([0.02, 0.03, 0.04])
    panels = regimes("x", {"easy": {"a": small}, "hard": {"a": large}}, key).axes
    ends = [panel.get_xlim() for panel in panels]
    assert all(panel.get_xscale() == "log" for panel in panels)
    assert ends[0][1] / ends[0][0] == pytest.approx(ends[1][1] / ends[1][0])
    assert small.low < 0 < ends[0][0] == pytest.approx(panels[0].lines[0].get_xdata()[0])
    dots = seed_dots("x", {"a": {0: 1e-6, 1: 2e-6}, "b": {0: 0.01, 1: 0.5}}, key)
    assert dots.axes[0].get_xscale() == "log"
    assert dots.axes[0].get_xlim()[0] > 0
    means = {(0, 0): small, (0, 1): large, (1, 0): large, (1, 1): large}
    grid = heat_map("x", Crossed(("norm", ("a", "b")), ("size", ("c", "d")), means, (), 0.5), key)
    assert [text.get_text() for text in grid.axes[0].texts] == ["3.1e-5", "0.03", "0.03", "0.03"]
    for figure in (panels[0].figure, dots, grid):
        check_figure(figure, COLUMN)


def test_values_within_a_decade_stand_on_linear_axes():
    key = FIRST.key("test/loss")
    assert seed_dots("x", {"a": {0: 0.1, 1: 0.2}}, key).axes[0].get_xscale() == "linear"
    assert regimes("x", {r: {"a": mean_interval([0.1, 0.2])} for r in "ef"}, key).axes[0].get_xscale() == "linear"

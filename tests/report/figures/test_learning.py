"""Learning curves: the right lines and bands, legible for many arms, and names that can't break them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from looks import check_figure, texts
from scipy import stats

from paribus.base.metrics import FIRST, Key
from paribus.evidence.arms import ReportError
from paribus.evidence.curves import mean_curve
from paribus.report.figures.learning import learning_curves
from paribus.report.figures.saving import save
from paribus.report.figures.sheet import caption
from paribus.report.figures.style import COLUMN, look

KEYS = [FIRST.key("train/loss"), FIRST.key("val/acc")]


def history(seed: int, epochs: int = 8, rate: float = 0.3) -> dict[str, list[float]]:
    noise = np.random.default_rng(seed).normal(0, 0.05, (2, epochs))
    epoch = np.arange(1, epochs + 1)
    loss = 2 * np.exp(-rate * epoch + noise[0])
    accuracy = np.clip(1 - np.exp(-rate * epoch + noise[1]), 0, 1)
    return {
        "epoch": epoch.tolist(),
        "step": (19 * epoch).tolist(),
        "seconds": (epoch * (1 + seed / 10)).tolist(),
        "train/loss": loss.tolist(),
        "val/acc": accuracy.tolist(),
    }


def arms(names, n: int = 3):
    return {name: [history(10 * k + s, rate=0.5 + k / 20) for s in range(n)] for k, name in enumerate(names)}


def test_mean_and_band_are_those_of_scipy():
    runs = [history(seed) for seed in range(4)]
    curve = mean_curve(runs, "val/acc", "epoch")
    values = np.array([run["val/acc"] for run in runs])
    expected = stats.ttest_1samp(values, 0, axis=0).confidence_interval()
    np.testing.assert_allclose(curve.low, expected.low)
    np.testing.assert_allclose(curve.high, expected.high)
    np.testing.assert_allclose(curve.mean, values.mean(axis=0))
    assert (curve.n, curve.x.tolist()) == (4, runs[0]["epoch"])


def test_losses_are_averaged_as_logarithms():
    runs = [history(seed) for seed in range(3)]
    curve = mean_curve(runs, "train/loss", "step", log=True)
    np.testing.assert_allclose(curve.mean, stats.gmean([run["train/loss"] for run in runs]))
    assert (curve.low > 0).all()
    runs[0]["train/loss"][3] = 0.0
    np.testing.assert_allclose(
        mean_curve(runs, "train/loss", "step", log=True).mean,
        np.mean([run["train/loss"] for run in runs], axis=0),
    )


def test_runs_that_ended_early_enter_no_mean():
    runs = [history(0), history(1), {k: v[:3] for k, v in history(2).items()}]
    runs[1]["val/acc"][-1] = float("nan")
    curve = mean_curve(runs, "val/acc", "epoch")
    assert curve.n == 1
    assert [len(x) for x, _ in curve.partial] == [7, 3]
    assert np.isnan(curve.low).all()


def test_rows_without_a_measurement_are_left_out():
    runs = [history(seed) for seed in range(2)]
    for run in runs:
        run["val/acc"][::2] = [float("nan")] * 4
    assert mean_curve(runs, "val/acc", "epoch").x.tolist() == [2, 4, 6, 8]
    assert mean_curve(runs, "val/loss", "epoch").n == 0


def test_a_line_for_each_arm_and_panel():
    figure = learning_curves("norm", arms("abc"), KEYS)
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"
    assert [len(panel.lines) for panel in figure.axes] == [12, 12]  # a mean, and three runs
    assert [panel.get_ylabel() for panel in figure.axes] == ["training loss", "validation accuracy (%)"]
    runs = arms("abc")["b"]
    np.testing.assert_allclose(accuracy.lines[7].get_ydata(), 100 * np.mean([run["val/acc"] for run in runs], axis=0))
    assert "n = 3 per arm" in caption(figure)


def test_single_and_interrupted_runs_are_called_so():
    assert caption(learning_curves("norm", arms("a", n=1), KEYS)).endswith("Single runs.")
    given = arms("ab")
    given["a"][0] = {k: v[:4] for k, v in given["a"][0].items()}
    title = caption(learning_curves("norm", given, KEYS))
    assert "n = 2 to 3 per arm" in title
    assert "ended early" in title


def test_few_runs_are_lines_and_five_a_band():
    few, many = (learning_curves("norm", arms("a", n=n), KEYS) for n in (4, 5))
    assert [(len(panel.lines), len(panel.collections)) for panel in few.axes] == [(5, 0)] * 2
    assert [(len(panel.lines), len(panel.collections)) for panel in many.axes] == [(1, 1)] * 2
    assert "thin lines: the runs themselves" in caption(few)
    assert "band: 95 % t interval of the mean" in caption(many)


def test_a_mean_that_leaves_the_panel_becomes_an_arrow():
    given = {name: runs for name, runs in arms("abcdefghijkl", n=1).items()}
    for run in given["e"]:
        run["train/loss"][-1] = 1e9
    figure = learning_curves("norm", given, KEYS[:1])
    panel = figure.axes[4]
    assert panel.get_ylim()[1] < 10
    [arrow] = [line for line in panel.lines if line.get_marker() == "^" and len(line.get_xdata()) == 1][:1]
    assert arrow.get_xdata()[0] == 8
    assert "Arrows: 1 means leave the axis there" in caption(figure)


def test_looks_differ():
    assert len({str(look(k)) for k in range(100)}) == 100
    assert len({(str(look(k)["linestyle"]), look(k)["color"]) for k in range(36)}) == 36
    assert look(0)["color"] == "#000000"


@pytest.mark.parametrize(
    ("number", "x"),
    [
        (11, "epoch"),
        *(pytest.param(3, x, marks=pytest.mark.slow) for x in ("epoch", "step", "seconds")),
        *(pytest.param(11, x, marks=pytest.mark.slow) for x in ("step", "seconds")),
    ],
)
def test_arms_are_saved_as_vectors_and_pixels_with_a_caption(tmp_path, x, number):
    figure = learning_curves("norm", arms([f"arm{k}" for k in range(number)]), KEYS, x=x)
    paths = save(figure, tmp_path / "new" / "curves.v1", ("png", "pdf", "svg"))
    assert [path.name for path in paths] == ["curves.v1.png", "curves.v1.pdf", "curves.v1.svg", "curves.v1.txt"]
    assert [path.read_bytes()[:4] for path in paths[:3]] == [b"\x89PNG", b"%PDF", b"<?xm"]
    assert f">arm{number - 1}</text>" in paths[2].read_text()  # text that can be edited
    assert b"/Type42" in paths[1].read_bytes() or b"/FontFile2" in paths[1].read_bytes()
    check_figure(figure, COLUMN)


def test_the_same_histories_give_the_same_bytes(tmp_path):
    first, second = (
        [
            path.read_bytes()
            for path in save(learning_curves("norm", arms("ab"), KEYS), tmp_path / name, ("png", "pdf", "svg"))
        ]
        for name in ("first", "second")
    )
    assert first == second


@pytest.mark.parametrize("name", ["$x^{", "_hidden", "a\nb", r"\frac{", "%", "x" * 300, "", "<b>&"])
def test_hostile_names_are_drawn_as_they_stand(tmp_path, name):
    figure = learning_curves(name, arms([name, "other"]), KEYS)
    save(figure, tmp_path / "curves", ("png", "svg"))
    shown = "".join("".join(texts(figure)).split())
    assert ("".join(name.split()) or "(noname)")[:39] + ("…" if len(name) > 40 else "") in shown


def test_odd_histories(tmp_path):
    flat = {"epoch": [1.0], "train/loss": [0.5], "val/acc": [1.0]}
    dead = {"epoch": [1.0, 2.0], "train/loss": [float("nan")] * 2, "val/acc": [float("nan")] * 2}
    save(learning_curves("x", {"one": [flat], "dead": [dead], "none": []}, KEYS), tmp_path / "odd", ("png",))
    with pytest.raises(ReportError, match=r"got val/f1\. There are train/loss, val/acc"):
        learning_curves("x", {"one": [flat]}, metrics=[Key("val/f1")])
    with pytest.raises(ReportError, match="There are none"):
        learning_curves("x", {}, KEYS)


def test_neither_pyplot_nor_torch_is_imported_and_no_setting_stays():
    script = (
        "import sys, matplotlib\n"
        "settings = lambda: {k: v for k, v in dict.items(matplotlib.rcParams) if k != 'backend'}\n"
        "before = settings()\n"
        "from paribus.base.metrics import FIRST\n"
        "from paribus.report.figures.learning import learning_curves\n"
        "from paribus.report.figures.saving import save\n"
        "curves = {'a': [{'epoch': [1, 2], 'train/loss': [2, 1], 'val/acc': [0.5, 0.9]}]}\n"
        "learning_curves('x', curves, [FIRST.key('train/loss'), FIRST.key('val/acc')])\n"
        "assert settings() == before\n"
        "print(sorted({'matplotlib.pyplot', 'torch', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"

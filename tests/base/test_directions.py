"""Every direction follows from the metric, in one place."""

import math
import re
from pathlib import Path

import pytest

from paribus.base.directions import BETTER, best, direction, higher_is_better, is_better, mode
from paribus.base.errors import UserError

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(("name", "better"), BETTER.items())
def test_a_metric_has_its_direction_whatever_part_of_the_data_it_is_of(name, better):
    for metric in (name, f"train/{name}", f"val/{name}", f"val/{name}_best", f"test/{name}"):
        assert higher_is_better(metric) is direction("key", metric) is (better == "higher")
        assert mode(metric) == ("max" if better == "higher" else "min")


@pytest.mark.parametrize("metric", ["lr", "steps", "val/f1", "val/accuracy_loss_ratio", "", "acc/val", None, 3])
def test_what_is_not_declared_has_no_direction(metric):
    assert higher_is_better(str(metric)) is None
    with pytest.raises(UserError, match=r"which one direction is better.*val/acc"):
        direction("key", metric)


def test_nan_is_never_an_improvement_and_never_remembered():
    assert best("val/acc", [0.2, math.nan, 0.7, 0.5]) == 0.7
    assert best("val/loss", [math.nan, 0.7, math.nan, 0.5, math.inf]) == 0.5
    assert math.isnan(best("val/loss", [math.nan, math.nan]))
    for metric in ("val/acc", "val/loss"):
        assert not is_better(metric, math.nan, 0.5)
        assert not is_better(metric, math.nan, math.nan)
        assert not is_better(metric, 0.5, 0.5)
        assert is_better(metric, math.inf, math.nan)


def test_nothing_else_in_the_sources_guesses_a_direction():
    """From the end of a name, or from max and min as words."""
    guess = re.compile(r"""endswith\(["'](acc|loss)|["']maximize["'] if|\bmode=["'](max|min)["']""")
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text().splitlines()
        if guess.search(line)
    ]
    assert [line for line in found if not line.startswith("study.py: wanted =")] == []

"""The promises of scripts/simulate_statistics.py, in a fast form."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "simulate_statistics.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("simulate_statistics", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    "name", ["coverage", "type_one", "family_wise", "tuning_bias", "confusion", "power", "sequential"]
)
def test_promises_hold(script, name):
    assert getattr(script, name) in script.SIMULATIONS
    result = getattr(script, name)(10_000, 0)
    assert result.broken == []
    assert result.rows


def test_what_is_not_promised_goes_wrong(script):
    """The errors that the statistics are there to avoid show in the same simulations."""
    bootstrap = [row[-1] for row in script.coverage(1_000, 1).rows]
    assert bootstrap[0] < 0.85
    unadjusted = [row[1] for row in script.family_wise(4_000, 1).rows]
    assert min(unadjusted) > 0.2
    same_seeds = [row[2] for row in script.tuning_bias(4_000, 1).rows]
    assert max(same_seeds) > 0.15
    peeking = [row[1] for row in script.sequential(4_000, 1).rows]
    assert min(peeking) > 0.35

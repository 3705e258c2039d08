"""The promises of scripts/simulate_budgets.py, in a fast form."""

from __future__ import annotations

import pytest
import scripts


@pytest.fixture(scope="module")
def script():
    return scripts.load("simulate_budgets")


@pytest.fixture(autouse=True)
def few(script, monkeypatch):
    monkeypatch.setattr(script, "SIZES", [(8, 5), (16, 3)])
    monkeypatch.setattr(script, "ARMS", {name: script.ARMS[name] for name in ("cliff", "noisy", "many narrow")})
    monkeypatch.setattr(script, "TRUTH", 40_000)


@pytest.mark.parametrize("name", ["coverage", "alike", "unlike", "power"])
def test_promises_hold(script, name):
    assert getattr(script, name) in script.SIMULATIONS
    result = getattr(script, name)(400, 0)
    assert result.broken == []
    assert result.rows


def test_what_is_not_promised_goes_wrong(script):
    """Random trials, few of which decide."""
    assert min(row[3] for row in script.coverage(400, 1).rows) < 0.92

"""The promises of scripts/simulate_tuned.py, in a fast form."""

from __future__ import annotations

import pytest
import scripts


@pytest.fixture(scope="module")
def script():
    return scripts.load("simulate_tuned")


@pytest.mark.parametrize("name", ["alike", "looks", "nested", "trials", "power", "splits"])
def test_promises_hold(script, name, monkeypatch):
    monkeypatch.setattr(script, "POPULATIONS", script.POPULATIONS[3::24])
    monkeypatch.setattr(script, "FEW", script.FEW[::6])
    monkeypatch.setattr(script, "SPACES", script.SPACES[::5])
    assert getattr(script, name) in script.SIMULATIONS
    result = getattr(script, name)(300, 0)
    assert result.broken == []
    assert result.rows


@pytest.mark.slow
def test_what_is_not_promised_goes_wrong(script, monkeypatch):
    """The winners of tuning alone, and splits that count as independent."""
    monkeypatch.setattr(script, "POPULATIONS", script.POPULATIONS[3::24])
    assert max(row[3] for row in script.alike(300, 1).rows) > 0.2
    assert min(row[3] for row in script.splits(200, 1).rows) < 0.8

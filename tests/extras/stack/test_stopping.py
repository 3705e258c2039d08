"""A job of several stacks that is asked to stop: whenever that is, nothing new begins."""

from __future__ import annotations

import os
import signal

import pytest

from paribus.base.errors import Interrupted
from paribus.extras.stack import execute

LINES = [
    ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", f"seed={seed}"]
    for seed in range(4)
]


@pytest.mark.parametrize("size", [2, 1])  # stacks of two; runs alone
def test_a_request_while_a_run_ends_by_itself_is_not_lost(runs, monkeypatch, size):
    """Its last update had been taken, so it is done; the next stack used to begin, and trained to its end."""
    run = runs()
    name, owner = ("finish", execute._Training) if size > 1 else ("execute", execute)
    original = getattr(owner, name)
    ended = []

    def then_terminated(*given):
        original(*given)
        ended.append(given)
        if len(ended) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(owner, name, then_terminated)
    with pytest.raises(Interrupted):
        run.stacked(LINES, size=size)
    states = [record and record.status for record in map(run.store.read, run.ids(LINES))]
    assert states == ["done"] * size + [None] * (4 - size)
    monkeypatch.undo()
    assert [record.status for record in run.stacked(LINES, size=size)] == ["done"] * 4

"""The collector of cycles is on again, and nothing stays out of its reach that was not before."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from paribus.base import memory
from paribus.base.memory import share, uncollected


@pytest.fixture
def thawed():
    """Nothing is frozen, whatever a test before this one has left."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_the_collector_is_off_within_and_on_again_after_an_error(thawed):
    on = []

    @uncollected()
    def fails():
        on.append(gc.isenabled())
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert on == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_a_fork_server_has_frozen_stays_frozen(thawed, monkeypatch):
    monkeypatch.setattr(memory, "_shared", False)  # and so again afterwards
    share()
    before = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() == before > 0


def test_cycles_of_earlier_runs_in_one_process_are_collected():
    code = """
import gc, weakref
from paribus.base.memory import uncollected
class Node: pass
node = Node(); node.self = node; gone = weakref.ref(node); del node
with uncollected():
    import json
gc.collect()
assert gone() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)

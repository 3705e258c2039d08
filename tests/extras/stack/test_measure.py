"""The measurement before a stack is trained."""

from contextlib import nullcontext

import pytest
import torch

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.extras.stack import measure
from paribus.extras.stack.measure import Findings, explore, peak_bytes
from paribus.run import build
from paribus.run.fit import build_trainee

CPU = torch.device("cpu")


def bench(*overrides, batch=16):
    run = Run.parse(resolved(load([*overrides, f"data.batch_size={batch}"])))
    setting = build.build_setting(run)

    def make(k):
        return build_trainee(run, setting, None), "task", "schedule"

    x, y = torch.randn(batch, *setting.source.shape), torch.arange(batch) % 10
    return measure.Bench(make, x, y, torch.float32, nullcontext)


@pytest.mark.parametrize("overrides", [["model=mlp", "optimizer=adam"], ["model=cnn", "model.widths=[8,16]"]])
def test_memory_of_a_large_stack_is_predicted_within_a_fifth(overrides):
    probe = bench(*overrides)
    found = Findings(bytes={size: peak_bytes(lambda size=size: probe.step(size), CPU)[0] for size in (4, 16)})
    taken, _ = peak_bytes(lambda: probe.step(40), CPU)
    assert found.predicted_bytes(40) == pytest.approx(taken, rel=0.2)


def test_cost_grows_linearly_at_most():
    found = Findings({1: 1.0, 4: 2.0, 16: 6.0, 64: 30.0})
    assert found.best() == 16
    assert found.each(64) == pytest.approx(30 / 64)


def clocked(monkeypatch, seconds):
    """explore() with a table in place of a clock."""
    probe = bench("model=linear")
    sizes = []
    step = probe.step
    monkeypatch.setattr(probe, "step", lambda size: sizes.append(size) or step(size))
    monkeypatch.setattr(measure, "seconds_of", lambda step, device, patience: seconds[sizes[-1]])
    return probe


def test_stacks_grow_while_they_pay(monkeypatch):
    probe = clocked(monkeypatch, {1: 1.0, 4: 1.2, 16: 2.0, 32: 5.0})
    found = explore(probe, 32, 100, 0.03)
    assert found.best() == 16


def test_what_is_slower_together_is_not_measured_further(monkeypatch):
    probe = clocked(monkeypatch, {1: 1.0, 4: 8.0})
    found = explore(probe, 32, 100, 0.03)
    assert found.best() == 1
    assert set(found.seconds) == {1, 4}


def test_what_is_over_sooner_than_it_is_measured_is_not(monkeypatch):
    probe = clocked(monkeypatch, {1: 0.001})
    found = explore(probe, 32, 100, 0.03, too_short=5.0)
    assert found.too_short
    assert set(found.seconds) == {1}


def test_memory_bounds_the_stack(monkeypatch):
    probe = clocked(monkeypatch, {1: 1.0, 4: 1.2, 16: 2.0, 32: 3.0, 64: 4.0})
    alike, _ = peak_bytes(lambda: probe.step(16), CPU)
    monkeypatch.setattr(measure, "free_bytes", lambda device: 2.0 * alike)
    assert max(explore(probe, 64, 100, 0.03).seconds) == 16


def test_the_first_update_of_a_stack_does_not_count(monkeypatch):
    """It traces its program, which takes as long as hundreds of updates."""
    now = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    probe = bench("model=linear")

    def step(size):
        taken = [0.001] if size == 1 else [0.002, 0.3]

        def update():
            now[0] += taken.pop() if len(taken) > 1 else taken[0]

        return update

    monkeypatch.setattr(probe, "step", step)
    found = explore(probe, 32, 100, 0.03)
    assert found.seconds == pytest.approx({1: 0.001, 4: 0.002, 16: 0.002, 32: 0.002})

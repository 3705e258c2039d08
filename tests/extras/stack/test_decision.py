"""When a stack is compiled."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from paribus.config.composer import Composer
from paribus.extras.stack import decision as measure
from paribus.extras.stack.decision import compiling_pays, decide
from paribus.extras.stack.measure import Findings
from paribus.extras.stack.members import Member
from paribus.run import build
from paribus.store.record import Record

TENSORS = 6  # 4.2 s to compile, as is estimated: tried from 84 s of training on


def pays(monkeypatch, compiled, again, size=8, updates=1000, rounds=100):
    """(whether it pays, the size that was tried) where an update of a stack of 4 takes 4 ms, and of 8 thus 8 ms."""
    network = nn.ParameterList(nn.Linear(2, 2, bias=False).weight for _ in range(TENSORS))
    bench = SimpleNamespace(make=lambda k: (SimpleNamespace(network=network), "task", "schedule"))
    tried = []

    def try_compiled(bench, found, size):
        tried.append(size)
        found.compiled, found.compile_seconds = compiled, again

    monkeypatch.setattr(measure, "try_compiled", try_compiled)
    return compiling_pays(bench, Findings({1: 0.002, 4: 0.004}), size, updates, rounds), tried


def test_what_each_round_saves_must_exceed_what_it_takes_to_compile_again(monkeypatch):
    assert pays(monkeypatch, compiled=0.005, again=2.9) == (True, [8])
    assert pays(monkeypatch, compiled=0.005, again=3.1) == (False, [8])
    assert pays(monkeypatch, compiled=0.009, again=0.1) == (False, [8])


@pytest.mark.parametrize(("rounds", "tried"), [(10, []), (11, [8])])
def test_it_is_not_tried_where_trying_takes_more_than_a_twentieth_of_the_time(monkeypatch, rounds, tried):
    assert pays(monkeypatch, compiled=0.001, again=0.1, rounds=rounds) == (bool(tried), tried)


def test_a_stack_that_shall_be_compiled_has_the_size_that_is_fastest_as_a_trace(monkeypatch, tmp_path):
    """Compiling each size would take minutes, and fails while the memory of tensors is counted."""
    seen = []

    def explore(bench, *arguments):
        seen.append(bench.compile)
        return Findings({1: 0.002, 2: 0.001, 4: 0.004})

    monkeypatch.setattr(measure, "explore", explore)
    run = Composer()(["model=mlp", "trainer.compile=true", "budget.epochs=2"]).run
    setting = build.build_setting(run)
    members = [Member(run, Record("measured", "running"), Path())] * 4
    assert decide(members, setting, build.build_data(run, setting), tmp_path) == (2, True)
    assert seen == [False]

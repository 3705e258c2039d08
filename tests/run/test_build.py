"""Repetitions: the same seeds, other random numbers."""

import torch

from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.run import build


def test_repetition_0_is_what_runs_were_before_there_was_the_key(compose):
    config = compose("model=mlp", "norm=none", "seed=3")
    without = {key: value for key, value in config.items() if key != "repetition"}
    assert run_id(config) == run_id(without)
    assert [build.stream(Run.parse(c), "order") for c in (config, without)] == [3, 3]


def test_another_repetition_is_another_run_with_other_weights_and_streams(run_of):
    one, two = (run_of("model=mlp", "norm=none", f"repetition={number}") for number in (0, 1))
    assert one.id != two.id
    weights = [next(build.build_network(c, build.build_setting(c)).parameters()) for c in (one, two)]
    assert not torch.equal(*weights)
    for name in ("init", "order", "augmentation"):
        assert build.stream(one, name) != build.stream(two, name)

"""Stacks of networks of tokens train as their runs do alone."""

import pytest
import torch

from paribus.extras.stack import program
from paribus.extras.stack.decision import relative_time
from paribus.run import build

BASE = [
    *("task=language", "data.source.length=6", "data.source.num_train=60", "data.source.num_test=20"),
    *("data.validation=20", "data.batch_size=8", "budget.updates=12", "scheduler=cosine", "callbacks=[checkpoints]"),
    *("trainer.threads=1", "trainer.precision=64-true"),
]
GPT = ["model.width=8", "model.depth=1", "model.heads=2"]
MODELS = {
    "gpt": GPT,
    "gpt-rotary-tied": [*GPT, "model.positions=rotary", "model.tied=true", "model.qk_norm=true"],
    "gpt-post-batch": [*GPT, "model.placement=post", "norm=batch"],
    "gpt-dropout": [*GPT, "model.dropout=0.3", "norm=rms"],
    "gpt-weight": [*GPT, "norm=[layer,weight]"],
    "lstm": ["model=lstm", "model.width=6"],
    "gru-batch": ["model=gru", "model.width=6", "norm=batch", "model.norm_at=inputs"],
    "rnn-spectral": ["model=rnn", "model.width=6", "norm=spectral"],
    "masked": [*GPT, "data=recall", "~data.source.length"],
}
OFTEN = (("gpt", 1),)
EACH = (["seed=1", "optimizer.lr=0.01"], ["seed=2", "optimizer=momentum"], ["seed=3", "loss=z_loss", "optimizer=muon"])


CASES = [
    pytest.param(name, worth, id=f"{name} {said}", marks=() if (name, worth) in OFTEN else pytest.mark.slow)
    for name in MODELS
    for worth, said in ((1, "traced"), (1000, "vmap"))
]


def test_the_speed_of_a_stack_is_measured(run_of):
    run = run_of(*(each for each in BASE if "precision" not in each), *GPT)
    setting = build.build_setting(run)
    assert 0 < relative_time(run, setting, build.build_data(run, setting), 2) < 100


@pytest.mark.parametrize(("name", "worth"), CASES)
def test_a_replica_has_the_weights_and_metrics_of_the_single_run(name, worth, runs, monkeypatch):
    monkeypatch.setattr(program, "WORTH", worth)
    lines = [[*(each for each in BASE if "length" not in each or name != "masked"),
              *(each for each in MODELS[name] if not each.startswith("~")), *own] for own in EACH]  # fmt: skip
    alone, together = runs("alone"), runs("together")
    for line, wanted, found in zip(lines, alone.alone(lines), together.stacked(lines), strict=True):
        assert found.status == wanted.status == "done"
        assert found.timing["stack"] == 3
        for key, value in alone.weights(line).items():
            torch.testing.assert_close(together.weights(line)[key], value, rtol=1e-6, atol=1e-9)
        for key in ("train/loss", "val/excess", "test/loss", "test/ppl", "test/acc", "test/top5"):
            assert found.metrics[key] == pytest.approx(wanted.metrics[key], rel=1e-6), key
        assert found.declared == wanted.declared

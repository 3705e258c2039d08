"""The user's own network: it is told what its constructor asks for."""

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.datasets.source import Form
from paribus.run.network import arguments
from paribus.store.store import Store

NETS = '''
from torch import nn


class Fixed(nn.Linear):
    """It knows its sizes."""
    def __init__(self, inputs: int = 64):
        super().__init__(inputs, 10)


class Sized(nn.Sequential):
    def __init__(self, num_outputs, shape):
        super().__init__(nn.Flatten(), nn.Linear(shape[0], num_outputs))


class Any(nn.Sequential):
    def __init__(self, **told):
        super().__init__()
        self.told = told


class Words(nn.Sequential):
    def __init__(self, vocabulary_size, num_outputs):
        super().__init__(nn.Embedding(vocabulary_size, 8), nn.Flatten(), nn.Linear(48, num_outputs))
'''
VECTOR = Form((13,), "vector", "class", 3)
TOKENS = Form((6,), "sequence", "class", 3, vocabulary_size=9)
SOURCE = '''
import torch
from paribus.datasets.source import RawData


class Letters:
    """Is there more of the first token than of the second?"""
    name, shape, kind_of_x, vocabulary_size, num_classes = "letters", (6,), "sequence", 9, 2

    def load(self):
        x = torch.randint(0, 9, (300, 6), generator=torch.Generator().manual_seed(0))
        y = ((x == 0).sum(1) > (x == 1).sum(1)).long()
        return RawData(x[:240], y[:240], x[240:], y[240:])
'''


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "toldnets.py").write_text(NETS)
    (tmp_path / "tokendata.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


def told(model, form=VECTOR, norm=None):
    target = model if "." in model else f"toldnets.{model}"
    line = ["~model", f"+model._target_={target}", *([] if norm else ["norm=none"])]
    return arguments(Run.parse(resolved(load(line))), form, 3, norm)


def test_each_is_told_what_it_asks_for():
    assert told("Fixed") == {}
    assert told("Sized") == {"shape": (13,), "num_outputs": 3}
    assert told("Any") == {"shape": (13,), "num_outputs": 3, "norm": None}
    assert told("Words", TOKENS) == {"vocabulary_size": 9, "num_outputs": 3}
    assert told("paribus.model.MLP", norm=print) == {"shape": (13,), "num_outputs": 3, "norm": print}


def test_tokens_need_an_embedding():
    with pytest.raises(UserError, match=r"model=mlp computes with numbers, and .* has sequences of tokens"):
        told("paribus.model.MLP", TOKENS)


def test_a_network_of_tokens_is_trained_alone_and_in_a_sweep(paribus):
    line = ["data.source._target_=tokendata.Letters", "~model", "+model._target_=toldnets.Words", "norm=none",
            "data.validation=40", "budget.epochs=2"]  # fmt: skip
    for more in ([], ["data.resident=false"]):
        done = paribus("train", *line, *more, "stack=off", "seed=5")
        assert done.code == 0, done.err
    done = paribus("train", "-m", *line, "seed=1,2", "stack=2")
    assert "2 of 2 runs are done" in done.err, done.err
    together = [each.timing.get("stack") for each in Store("outputs").scan() if each.seed in (1, 2)]
    assert together == [2, 2], done.err
    refused = paribus("train", *line, "augmentation=mixup")
    assert refused.code == 2
    assert "has sequences of tokens of shape (6,). Use augmentation=none" in refused.err

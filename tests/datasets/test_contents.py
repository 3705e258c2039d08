"""Data that are not what their source says are refused, with the part and the place."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_sources import Made

from paribus.datasets.contents import checked
from paribus.datasets.prepare import prepare
from paribus.datasets.source import IGNORED, RawData, form_of


def contents(source, **changed):
    raw = source.load()
    raw.__dict__.update(changed)
    return checked(source, form_of(source), raw)


def with_value(tensor, place, value):
    changed = tensor.clone()
    changed[place] = value
    return changed


X = Made().load().train_x
Y = {kind: Made(kind_of_y=kind).load().train_y for kind in ("class", "number", "labels")}


@pytest.mark.parametrize(
    ("kinds", "changed", "named"),
    [
        ({}, {"train_x": with_value(X, (7, 3), math.nan)}, r"training part place \(3,\) of sample 7 is nan \(1 such"),
        ({"feature_names": list("abcde")}, {"train_x": with_value(X, (7, 3), math.inf)}, "'d' of sample 7 is inf"),
        ({}, {"test_x": X[:20, :4]}, r"test part have the shape \(4,\), and the source says \(5,\)"),
        ({}, {"test_x": X[:19]}, "the test part has 19 samples and 20 of y"),
        ({}, {"test_x": X[:0], "test_y": Y["class"][:0]}, "the test part of the data is empty"),
        ({}, {"train_y": Y["class"].float()}, r"y of the training part are torch.float32 of shape \(60,\).*kind_of_y="),
        ({}, {"train_y": Y["labels"]}, r"torch.int64 of shape \(60, 4\)"),
        ({}, {"train_y": Y["class"] + 1}, "from 0 to num_classes - 1 = 2, and there are some from 1 to 3"),
        ({"kind_of_y": "number"}, {"train_y": Y["number"][:, 0]}, r"must have the shape \(N, 2\), got \(60,\)"),
        ({"kind_of_y": "number"}, {"train_y": with_value(Y["number"], (5, 1), math.nan)}, "that of sample 5 of the"),
        ({"kind_of_y": "number"}, {"train_y": Y["number"] + 1e12}, "vary too little beside their size"),
        ({"kind_of_y": "labels"}, {"train_y": Y["labels"] * 2}, r"labels are 0 or 1.*e\.g\. 2"),
        ({"kind_of_y": "labels"}, {"train_y": Y["labels"][:, :3]}, r"\(N, 4\).*num_classes"),
        ({"kind_of_x": "tokens"}, {"train_x": torch.full((60, 6), 7)}, "vocabulary_size - 1 = 6, and there are"),
        ({"kind_of_x": "tokens"}, {"train_x": torch.zeros(60, 6)}, "tokens are whole numbers"),
        ({}, {"train_x": [["a"] * 5] * 60}, "can't be made a tensor"),
    ],
)
def test_what_is_not_as_the_source_says_is_named(kinds, changed, named):
    with pytest.raises(ValueError, match=named):
        contents(Made(**kinds), **changed)


class Places(Made):
    """A token as the target of each place of six."""

    def __init__(self):
        super().__init__("tokens", num_classes=7)
        self.kind_of_y = "tokens"

    def y(self, size, generator):
        return torch.zeros(size, 6, dtype=torch.int32)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            {"train_y": torch.zeros(60, 6)},
            r"each of the places \(6,\), .* are torch.float32 of shape \(60, 6\)",
        ),
        (
            {"test_y": torch.zeros(20, 5, dtype=torch.long)},
            r"the y of the test part are .* \(20, 5\)",
        ),
        ({"test_y": torch.full((20, 6), IGNORED)}, "sample 0 of the test part has none. Leave it out"),
        ({"test_y": torch.full((20, 6), 7)}, "num_classes - 1 = 6, and there are some from 7 to 7"),
    ],
)
def test_targets_of_places_are_tokens_or_ignored(changed, named):
    y = torch.full((20, 6), IGNORED)
    y[:, 2] = 6
    raw = contents(Places(), test_y=y)
    assert torch.equal(raw.test_y, y)
    assert raw.train_y.dtype == torch.long
    with pytest.raises(ValueError, match=named):
        contents(Places(), **changed)


def test_arrays_and_small_integers_are_taken():
    raw = contents(Made(), train_x=X.numpy(), train_y=Y["class"].to(torch.int8), test_y=np.arange(20) % 3)
    assert isinstance(raw.train_x, torch.Tensor)
    assert raw.train_y.dtype == raw.test_y.dtype == torch.long
    single = Made(kind_of_y="number", num_outputs=1)
    assert contents(single, train_y=Y["number"][:, :1]).train_y.shape == (60,)


def test_a_sum_may_overflow_though_all_is_finite():
    large = torch.full((60, 5), 3e38)
    assert torch.equal(contents(Made(), train_x=large).train_x, large)


def test_what_load_returns_is_looked_at():
    class Wrong(Made):
        def load(self):
            return SimpleNamespace(train_x=X)

    with pytest.raises(ValueError, match=r"Wrong returned SimpleNamespace without train_y"):
        prepare(Wrong(), validation=10)


def test_whole_numbers_of_a_source_that_does_not_say_what_they_are():
    """They may be quantities or tokens: to standardise tokens would be silent nonsense."""

    class Undeclared:
        name, shape, num_classes = "undeclared", (5,), 3

        def load(self):
            return RawData(X.long(), Y["class"], X.long()[:20], Y["class"][:20])

    with pytest.raises(ValueError, match=r"kind_of_x='vector' if .* quantities, or kind_of_x='sequence'"):
        prepare(Undeclared(), validation=10)
    Undeclared.kind_of_x = "vector"
    assert prepare(Undeclared(), validation=10).train.x.dtype == torch.float32


@pytest.mark.parametrize("resident", [True, False])
def test_samples_that_are_read_one_by_one_are_looked_at_when_read(resident):
    class Damaged(Made):
        def x(self, size, generator):
            return with_value(super().x(size, generator), (0, 0), math.nan)

    def read():
        splits = prepare(Damaged(lazy=True), validation=10, resident=resident, standardize=False)
        for part in (splits.train, splits.val):
            part.gather(torch.arange(len(part)))

    with pytest.raises(ValueError, match="sample 0 holds nan"):
        read()

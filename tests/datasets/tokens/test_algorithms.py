"""Algorithmic sources and Zipf's: every target worked out by hand, and no sequence in both parts."""

import numpy as np
import pytest
import torch

from paribus.datasets.contents import checked
from paribus.datasets.source import IGNORED, form_of
from paribus.datasets.tokens.algorithms import Copy, Modular, Parity, Recall, Sort
from paribus.datasets.tokens.zipf import Zipf

SMALL = {"num_train": 50, "num_test": 20}


def modular(x):
    return [None, (x[0] + x[1]) % 7]


def recall(x):
    known = dict(zip(x[0:6:2], x[1:6:2], strict=True))
    return [None] * 6 + [known[key] for key in x[6:]]


def copy(x):
    return [None] * 4 + x[:4]


def sort(x):
    return [None] * 4 + sorted(x[:4])


def parity(x):
    return [sum(x[: k + 1]) % 2 for k in range(len(x))]


def last(x):
    return [None] * (len(x) - 1) + parity(x)[-1:]


SOURCES = [
    (Modular(7, 0.4), modular),
    (Recall(keys=5, values=4, pairs=3, queries=2, **SMALL), recall),
    (Copy(3, 4, **SMALL), copy),
    (Sort(3, 4, **SMALL), sort),
    (Parity(9, **SMALL), parity),
    (Parity(9, "last", **SMALL), last),
]


@pytest.mark.parametrize(("source", "expected"), SOURCES, ids=[answer.__name__ for _, answer in SOURCES])
def test_targets_follow_from_the_tokens_before(source, expected):
    raw = checked(source, form_of(source), source.load())
    for x, y in ((raw.train_x, raw.train_y), (raw.test_x, raw.test_y)):
        for tokens, targets in zip(x.tolist(), y.tolist(), strict=True):
            assert targets == [IGNORED if token is None else token for token in expected(tokens)]
    assert (len(raw.train_x), len(raw.test_x)) == source.sizes
    again = source.load()
    assert torch.equal(again.train_x, raw.train_x)
    assert form_of(source).floor == 0.0
    if expected is not recall:  # its sequences are drawn with replacement from many
        rows = [tuple(row) for part in (raw.train_x, raw.test_x) for row in part.tolist()]
        assert len(rows) == len(set(rows))


def test_copied_words_are_fed_back_as_they_are():
    raw = Copy(3, 4, **SMALL).load()
    assert torch.equal(raw.train_x[:, 4], torch.full((50,), 3))
    assert torch.equal(raw.train_x[:, 5:], raw.train_y[:, 4:-1])


def test_more_sequences_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"there are 2\^5 = 32 of them. Use fewer samples, or data.source.length=6"):
        Parity(5, **SMALL).load()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Modular(1), "the modulus is at least 2"),
        (lambda: Modular(7, 1.0), "test_share must leave pairs for both parts"),
        (lambda: Recall(keys=3, pairs=4), "queries <= pairs <= keys"),
        (lambda: Parity(0), "at least 1 in number"),
        (lambda: Zipf(exponent=-1.0), "exponent is at least 0"),
    ],
)
def test_what_can_not_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_frequencies_fall_with_the_rank_and_answers_are_a_permutation(exponent):
    source = Zipf(20, exponent, 10, num_train=4000, num_test=100)
    raw = source.load()
    counts = np.bincount(raw.train_x.flatten(), minlength=20) / raw.train_x.numel()
    weights = np.arange(1, 21.0) ** -exponent
    np.testing.assert_allclose(counts, weights / weights.sum(), atol=0.01)
    answers = {}
    for x, y in ((raw.train_x, raw.train_y), (raw.test_x, raw.test_y)):
        for token, answer in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True):
            assert answers.setdefault(token, answer) == answer
    assert sorted(answers.values()) == list(range(20))

"""The Markov source: its floor against all sequences by enumeration, and its samples against its table."""

from itertools import product

import numpy as np
import pytest
import torch

from paribus.datasets.tokens.markov import Markov, entropy


def probabilities(source, length):
    """Of all sequences of so many tokens, by the chain alone: it starts long before, wherever it may."""
    states = list(product(range(source.alphabet), repeat=source.order))
    table = source.transitions
    matrix = np.zeros((len(states), len(states)))
    for number, state in enumerate(states):
        for token in range(source.alphabet):
            matrix[number, states.index((*state[1:], token))] += table[number, token]
    start = np.linalg.matrix_power(matrix, 4096)[0]
    found = {}
    for sequence in product(range(source.alphabet), repeat=max(length, source.order)):
        p = start[states.index(sequence[: source.order])]
        for place in range(source.order, len(sequence)):
            p *= table[states.index(sequence[place - source.order : place]), sequence[place]]
        found[sequence[:length]] = found.get(sequence[:length], 0.0) + p
    return found


@pytest.mark.parametrize(("order", "alphabet", "length"), [(1, 3, 4), (2, 3, 4), (3, 2, 6), (3, 2, 1), (3, 2, 2)])
def test_the_floor_is_the_entropy_of_all_sequences_given_their_first_token(order, alphabet, length):
    source = Markov(order, alphabet, length, seed=3)
    whole, first = (entropy(np.array([*probabilities(source, size).values()])) for size in (length + 1, 1))
    assert source.floor == pytest.approx((whole - first) / length, abs=1e-9)
    longer = entropy(np.array([*probabilities(source, order + 2).values()]))
    assert source.entropy_rate == pytest.approx(
        longer - entropy(np.array([*probabilities(source, order + 1).values()])), abs=1e-9
    )


def test_samples_follow_the_table():
    source = Markov(2, 3, 20, num_train=4000, num_test=10, seed=1)
    raw = source.load()
    assert torch.equal(raw.train_x[:, 1:], raw.train_y[:, :-1])
    contexts = raw.train_x[:, :-1] * 3 + raw.train_x[:, 1:]
    counts = torch.zeros(9, 3, dtype=torch.float64)
    counts.index_put_((contexts.flatten(), raw.train_y[:, 1:].flatten()), torch.ones(()).double(), accumulate=True)
    often = counts.sum(1)
    np.testing.assert_allclose(often / often.sum(), source.stationary, atol=0.01)
    for row, expected, number in zip(counts / often[:, None], source.transitions, often.tolist(), strict=True):
        np.testing.assert_allclose(row, expected, atol=5 * 0.5 / np.sqrt(number))


def test_the_seed_decides():
    one, again, other = (Markov(num_train=5, num_test=5, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.load().train_x, again.load().train_x)
    assert not np.array_equal(one.transitions, other.transitions)
    assert not torch.equal(one.load().train_x, one.load().test_x)


@pytest.mark.parametrize("options", [{"order": 0}, {"alphabet": 1}, {"order": 7, "alphabet": 8}, {"concentration": 0}])
def test_what_can_not_be_is_refused(options):
    with pytest.raises(ValueError, match="a Markov source has an order of at least 1"):
        Markov(**options)

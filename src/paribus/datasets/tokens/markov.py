"""A Markov source, whose entropy rate is known: how far from the best is a network, in nats?"""

from __future__ import annotations

import functools

import numpy as np
import torch

from paribus.datasets.columns import Array
from paribus.datasets.source import RawData
from paribus.datasets.tokens.made import MadeTokens

_LARGEST = 1 << 20  # probabilities of a table


class Markov(MadeTokens):
    r"""Tokens of a stationary Markov chain of order k over an alphabet of A, and at each place the next one.

    The distribution of the next token after each of the $A^k$ contexts is drawn from a Dirichlet distribution by the
    seed. Windows are independent, so the test part shares nothing with the training part.

    length: T, places of a window. concentration: of the Dirichlet distribution; small ones give predictable sources.

    Raises ValueError for a table of more than 2^20 probabilities.
    """

    name = "markov"

    def __init__(
        self,
        order: int = 2,
        alphabet: int = 8,
        length: int = 32,
        concentration: float = 0.5,
        num_train: int = 20_000,
        num_test: int = 4_000,
        seed: int = 0,
    ):
        super().__init__(alphabet, length, num_train, num_test, seed)
        if order < 1 or alphabet < 2 or alphabet ** (order + 1) > _LARGEST or not concentration > 0:
            raise ValueError(
                f"a Markov source has an order of at least 1, an alphabet of at least 2, at most {_LARGEST} "
                f"probabilities, alphabet ** (order + 1), and a positive concentration. Got order={order}, "
                f"alphabet={alphabet} and concentration={concentration}"
            )
        self.order = order
        self.alphabet = alphabet
        self.concentration = concentration

    @functools.cached_property
    def transitions(self) -> Array:
        r"""$p(x \mid c)$, (A^k, A). Contexts are numbered with the oldest token first."""
        rng = self.generator("transitions")
        drawn: Array = rng.dirichlet([self.concentration] * self.alphabet, self.alphabet**self.order)
        return drawn

    @functools.cached_property
    def stationary(self) -> Array:
        """The probability of each context, (A^k,): what the chain neither raises nor lowers."""
        joint = self.transitions.reshape(self.alphabet, -1, self.alphabet)
        found = np.full(joint.shape[:2], 1 / len(self.transitions))
        for _ in range(100_000):
            after = np.einsum("ar,arx->rx", found, joint).reshape(found.shape)
            if np.abs(after - found).max() < 1e-16:
                break
            found = after
        stationary: Array = found.reshape(-1) / found.sum()
        return stationary

    @property
    def entropy_rate(self) -> float:
        r"""$h = -\sum_c \pi_c \sum_x p(x \mid c) \ln p(x \mid c)$, in nats."""
        return float(self.stationary @ [entropy(row) for row in self.transitions])

    @property
    def floor(self) -> float:
        """The mean of the conditional entropies of the T targets of a window. The first ones see fewer than k tokens:
        given n of them, a target has the entropy of n + 1 tokens less that of n."""
        blocks = [entropy(self.stationary.reshape(self.alphabet**size, -1).sum(1)) for size in range(1, self.order + 1)]
        first = np.diff(blocks)[: self.length]
        return float(first.sum() + (self.length - len(first)) * self.entropy_rate) / self.length

    def load(self) -> RawData:
        rng = self.generator("samples")
        sums = self.transitions.cumsum(1)
        parts = []
        for size in self.sizes:
            context = rng.choice(len(sums), size, p=self.stationary)
            tokens = [context // self.alphabet**back % self.alphabet for back in reversed(range(self.order))]
            while len(tokens) <= self.length:
                token = (rng.random((size, 1)) > sums[context, :-1]).sum(1)
                tokens.append(token)
                context = context * self.alphabet % len(sums) + token
            window = torch.from_numpy(np.stack(tokens[: self.length + 1], 1))
            parts += [window[:, :-1], window[:, 1:]]
        return RawData(*parts)


def entropy(p: Array) -> float:
    r"""$-\sum_x p_x \ln p_x$ in nats."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())

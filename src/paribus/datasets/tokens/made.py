"""The base of the sources of tokens that are made of a seed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from paribus.datasets.columns import Array
from paribus.datasets.seeds import mix


class MadeTokens:
    """Sequences of `length` tokens 0 ... vocabulary_size - 1, with a token as the target at the places that count."""

    kind_of_x = "sequence"
    kind_of_y = "tokens"

    def __init__(self, vocabulary_size: int, length: int, num_train: int, num_test: int, seed: int):
        if min(vocabulary_size, length, num_train, num_test) < 1:
            raise ValueError(
                f"tokens, places and samples are at least 1 in number, got {vocabulary_size} tokens, {length} places, "
                f"{num_train} training and {num_test} test samples"
            )
        self.vocabulary_size = vocabulary_size
        self.length = length
        self.shape = (length,)
        self.sizes = (num_train, num_test)
        self.seed = seed

    @property
    def floor(self) -> float:
        """The lowest expected negative log-likelihood of a target, in nats: 0 where the tokens before decide it."""
        return 0.0

    def generator(self, stream: Literal["transitions", "samples"]) -> np.random.Generator:
        return np.random.default_rng(mix(self.seed, ("transitions", "samples").index(stream)))


def distinct(alphabet: int, length: int, number: int, rng: np.random.Generator) -> Array:
    """`number` different sequences (number, length) in random order, so that the test part has none of the training's.

    Raises ValueError where there are not so many.
    """
    if length * np.log2(alphabet) < 62 and alphabet**length < number:
        raise ValueError(
            f"training and test part have {number} different sequences in all, and there are {alphabet}^{length} = "
            f"{alphabet**length} of them. Use fewer samples, or data.source.length={length + 1} and more"
        )
    found: Array = np.empty((0, length), dtype=np.int64)
    while len(found) < number:
        more = rng.integers(0, alphabet, (2 * number, length))
        found = np.unique(np.concatenate([found, more]), axis=0)
    return rng.permutation(found)[:number]

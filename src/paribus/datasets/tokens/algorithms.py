"""Algorithmic tasks on tokens: each target follows from the tokens before, so the floor is 0."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from paribus.datasets.columns import Array
from paribus.datasets.source import IGNORED, RawData
from paribus.datasets.tokens.made import MadeTokens, distinct


class Modular(MadeTokens):
    r"""a, b -> a + b modulo p, the target at the second place, over all $p^2$ pairs. Chance: 1 / p.

    modulus: p. test_share: of the pairs, drawn by the seed.

    Source: Power et al. 2022, arXiv:2201.02177, where networks learn it by heart first and understand it later.
    """

    name = "modular"

    def __init__(self, modulus: int = 31, test_share: float = 0.4, seed: int = 0):
        test = round(test_share * modulus**2)
        if modulus < 2 or not 0 < test < modulus**2:
            raise ValueError(
                f"test_share must leave pairs for both parts, and the modulus is at least 2, got test_share="
                f"{test_share} and modulus={modulus}"
            )
        super().__init__(modulus, 2, modulus**2 - test, test, seed)
        self.modulus = modulus

    def load(self) -> RawData:
        order = self.generator("samples").permutation(self.modulus**2)
        x = np.stack([order // self.modulus, order % self.modulus], 1)
        return _parts(x, _at_the_end(x, x.sum(1, keepdims=True) % self.modulus), self.sizes)


class Recall(MadeTokens):
    """Pairs of a key and its value, then some of the keys again: the target at each of these is its value.

    keys, values: how many there are of each, as tokens of their own. pairs: of a sequence, with different keys.
    queries: keys that come again, in another order. A chance of 1 / values.

    Source: multi-query associative recall, Arora et al. 2023, arXiv:2312.04927.
    """

    name = "recall"

    def __init__(
        self,
        keys: int = 8,
        values: int = 8,
        pairs: int = 4,
        queries: int = 4,
        num_train: int = 20_000,
        num_test: int = 2_000,
        seed: int = 0,
    ):
        super().__init__(keys + values, 2 * pairs + queries, num_train, num_test, seed)
        if not 1 <= queries <= pairs <= keys or values < 2:
            raise ValueError(
                f"recall needs 1 <= queries <= pairs <= keys, and two values, got queries={queries}, pairs={pairs}, "
                f"keys={keys}, values={values}"
            )
        self.keys, self.values, self.pairs, self.queries = keys, values, pairs, queries

    def load(self) -> RawData:
        rng, size = self.generator("samples"), sum(self.sizes)
        keys = rng.random((size, self.keys)).argsort(1)[:, : self.pairs]
        values = self.keys + rng.integers(0, self.values, (size, self.pairs))
        asked = rng.random((size, self.pairs)).argsort(1)[:, : self.queries]
        stored = np.stack([keys, values], 2).reshape(size, -1)
        x = np.concatenate([stored, np.take_along_axis(keys, asked, 1)], 1)
        return _parts(x, _at_the_end(x, np.take_along_axis(values, asked, 1)), self.sizes)


class Copy(MadeTokens):
    """A word, a sign for its end, and the word again: the targets from the sign on. Chance: 1 / alphabet.

    alphabet: letters; the sign is one token more. letters: of a word. No word is in both parts.
    """

    name = "copy"

    def __init__(
        self, alphabet: int = 8, letters: int = 8, num_train: int = 20_000, num_test: int = 2_000, seed: int = 0
    ):
        super().__init__(alphabet + 1, 2 * letters, num_train, num_test, seed)
        self.alphabet, self.letters = alphabet, letters

    def load(self) -> RawData:
        words = distinct(self.alphabet, self.letters, sum(self.sizes), self.generator("samples"))
        answers = self.answers(words)
        sign = np.full((len(words), 1), self.alphabet)
        x = np.concatenate([words, sign, answers[:, :-1]], 1)
        return _parts(x, _at_the_end(x, answers), self.sizes)

    def answers(self, words: Array) -> Array:
        return words


class Sort(Copy):
    """A word, a sign for its end, and its letters in order: the targets from the sign on. See `Copy`."""

    name = "sort"

    def answers(self, words: Array) -> Array:
        return np.sort(words, 1)


class Parity(MadeTokens):
    """Bits, and at each place whether the number of ones up to there is odd. Chance: 1 / 2.

    counted: all places, or the last one alone, which is the harder task. No sequence is in both parts.
    """

    name = "parity"

    def __init__(
        self,
        length: int = 16,
        counted: Literal["all", "last"] = "all",
        num_train: int = 20_000,
        num_test: int = 2_000,
        seed: int = 0,
    ):
        super().__init__(2, length, num_train, num_test, seed)
        self.counted = counted

    def load(self) -> RawData:
        x = distinct(2, self.length, sum(self.sizes), self.generator("samples"))
        odd = x.cumsum(1) % 2
        return _parts(x, odd if self.counted == "all" else _at_the_end(x, odd[:, -1:]), self.sizes)


def _at_the_end(x: Array, answers: Array) -> Array:
    """Targets for x (N, T), of which the last places alone count."""
    y = np.full_like(x, IGNORED)
    y[:, x.shape[1] - answers.shape[1] :] = answers
    return y


def _parts(x: Array, y: Array, sizes: tuple[int, int]) -> RawData:
    tokens, targets = torch.from_numpy(x), torch.from_numpy(y)
    return RawData(tokens[: sizes[0]], targets[: sizes[0]], tokens[sizes[0] :], targets[sizes[0] :])

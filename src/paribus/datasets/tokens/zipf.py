"""Tokens as unequally frequent as words are: where adaptive rates are said to help."""

from __future__ import annotations

import numpy as np
import torch

from paribus.datasets.source import RawData
from paribus.datasets.tokens.made import MadeTokens


class Zipf(MadeTokens):
    r"""Independent tokens, the r-th most frequent with probability proportional to $r^{-s}$; the target of each place
    is a fixed permutation of its token.

    So every token can be predicted exactly, and what remains of the loss is that of rare ones.

    exponent: s, 1 for words; at 0 all tokens are equally frequent, the control.

    Source: Kunstner et al. 2024, arXiv:2402.19449, for heavy-tailed classes as the reason why Adam beats gradient
    descent on language.
    """

    name = "zipf"

    def __init__(
        self,
        vocabulary_size: int = 1000,
        exponent: float = 1.0,
        length: int = 8,
        num_train: int = 20_000,
        num_test: int = 4_000,
        seed: int = 0,
    ):
        super().__init__(vocabulary_size, length, num_train, num_test, seed)
        if not 0 <= exponent < float("inf") or vocabulary_size < 2:
            raise ValueError(
                f"exponent is at least 0 and finite, and there are two tokens or more, got exponent={exponent} and "
                f"vocabulary_size={vocabulary_size}"
            )
        self.exponent = exponent

    def load(self) -> RawData:
        rng = self.generator("samples")
        target = torch.from_numpy(rng.permutation(self.vocabulary_size))
        weights = np.arange(1, self.vocabulary_size + 1) ** -float(self.exponent)
        drawn = [
            torch.from_numpy(rng.choice(self.vocabulary_size, (size, self.length), p=weights / weights.sum()))
            for size in self.sizes
        ]
        return RawData(*(part for x in drawn for part in (x, target[x])))

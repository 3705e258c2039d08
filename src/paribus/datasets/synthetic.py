"""Images that can be learnt, of any size: for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from paribus.datasets.seeds import mix
from paribus.datasets.source import RawData


class Synthetic:
    r"""x = prototype of its class + noise * \epsilon, prototypes and \epsilon standard normal.

    shape: (C, H, W).
    noise: standard deviation; at 0 every class is one point.
    """

    name = "synthetic"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        num_train: int = 10_000,
        num_test: int = 2_000,
        noise: float = 3.0,
        seed: int = 0,
    ):
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape must be three positive numbers (channels, height, width), got {list(shape)}")
        if min(num_train, num_test) < num_classes or num_classes < 2:
            raise ValueError(
                f"at least two classes and one sample of each are needed, got {num_classes} classes, {num_train} "
                f"training and {num_test} test samples"
            )
        self.shape = (shape[0], shape[1], shape[2])
        self.num_classes = num_classes
        self.sizes = (num_train, num_test)
        self.noise = noise
        self.seed = seed

    def load(self) -> RawData:
        generator = torch.Generator().manual_seed(mix(self.seed, 0))
        prototypes = torch.randn((self.num_classes, *self.shape), generator=generator)
        parts = []
        for size in self.sizes:
            y = torch.arange(size) % self.num_classes
            x = prototypes[y] + self.noise * torch.randn((size, *self.shape), generator=generator)
            parts += [x, y]
        return RawData(*parts)

"""Random parts of a set, which keep the share of every class or are drawn from all samples alike."""

from __future__ import annotations

import torch
from torch import Tensor

from paribus.datasets.seeds import mix
from paribus.datasets.source import Form


def stratified(y: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Splits the samples with labels y (N,) into N - size and `size`: two sorted tensors of indices.

    Each class gives its share of the part, rounded by largest remainder so that the sizes are exact.

    Raises ValueError unless 0 <= size <= N.
    """
    total = len(y)
    if not 0 <= size <= total:
        raise ValueError(f"a part must have between 0 and {total} samples, got {size}")
    generator = torch.Generator().manual_seed(mix(seed, 0))
    shuffled = torch.randperm(total, generator=generator)
    counts = torch.bincount(y)
    exact = counts.double() * size / max(total, 1)
    quota = exact.floor().long()
    rest = torch.argsort(exact - quota, descending=True, stable=True)[: size - int(quota.sum())]
    quota[rest] += 1
    chosen = torch.zeros(total, dtype=torch.bool)
    labels = y[shuffled]
    for label, number in enumerate(quota.tolist()):
        chosen[shuffled[labels == label][:number]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def randomly(total: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Splits `total` samples into total - size and `size`, every choice equally likely: two sorted tensors of indices.

    Raises ValueError unless 0 <= size <= total.
    """
    if not 0 <= size <= total:
        raise ValueError(f"a part must have between 0 and {total} samples, got {size}")
    chosen = torch.zeros(total, dtype=torch.bool)
    chosen[torch.randperm(total, generator=torch.Generator().manual_seed(mix(seed, 0)))[:size]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def part_of(y: Tensor, form: Form, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """N - size and `size` indices. Only classes are stratified: numbers would need strata that somebody has to choose,
    and labels have too many combinations.
    """
    return stratified(y, size, seed) if form.kind_of_y == "class" else randomly(len(y), size, seed)

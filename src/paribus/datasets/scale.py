"""The scale of x: what is subtracted and what it is divided by, from the training set alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.source import Form


def statistics(x: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, which broadcast over x (N, *shape): of each channel of images, or of each feature.

    What is constant keeps its scale.
    """
    return _of_channels(x) if form.kind_of_x == "image" else _of_features(x)


def plain(form: Form, largest: float) -> tuple[Tensor, Tensor]:
    """Without standardisation: images are divided by their largest value, anything else stays as it is."""
    if form.kind_of_x == "image":
        channels = form.shape[0]
        return torch.zeros(1, channels, 1, 1), torch.full((1, channels, 1, 1), largest)
    ones = [1] * len(form.shape)
    return torch.zeros(1, *ones), torch.ones(1, *ones)


def scaled(x: Tensor, mean: Tensor, std: Tensor, form: Form) -> Tensor:
    """(x - mean) / std as float32. Of features in double precision before: they may be dates, or large counts."""
    if form.kind_of_x == "image":
        return (x.float() - mean) / std
    return ((x.double() - mean) / std).float()


def sampled_statistics(dataset: Dataset[Any], indices: Tensor, form: Form, sample: int = 2000) -> tuple[Tensor, Tensor]:
    """From evenly spaced samples: reading a large set twice would take as long as an epoch."""
    chosen = indices[:: max(1, len(indices) // sample)].tolist()
    return statistics(torch.stack([torch.as_tensor(dataset[i][0]) for i in chosen]), form)


def _of_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Over N, H and W of (N, C, H, W), each (1, C, 1, 1)."""
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    squares = torch.zeros(x.shape[1], dtype=torch.float64)
    for block in x.split(4096):  # in blocks, so that bytes need not become floats all at once
        values = block.double()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    count = x.numel() // x.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    std = torch.where(std > 0, std, torch.ones_like(std))
    return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)


def _of_features(x: Tensor) -> tuple[Tensor, Tensor]:
    """Over N of (N, F), or N and T of (N, T, F): double, (1, F) or (1, 1, F).

    In two passes: the difference of the mean square and the squared mean would lose a small spread beside a large mean.
    """
    rows = x.reshape(-1, x.shape[-1])
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for block in rows.split(65_536):
        total += block.double().sum(0)
    mean = total / len(rows)
    squares = torch.zeros_like(total)
    for block in rows.split(65_536):
        squares += (block.double() - mean).square().sum(0)
    std = (squares / len(rows)).sqrt()
    least, most = rows.amin(0).double(), rows.amax(0).double()
    constant = least == most  # whose mean may be rounded to another value
    mean, std = torch.where(constant, least, mean), torch.where(constant, torch.ones_like(std), std)
    ones = [1] * (x.ndim - 1)
    return mean.view(*ones, -1), std.view(*ones, -1)

"""Test parts that are drawn anew from all samples of a data set."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from paribus.datasets.seeds import mix
from paribus.datasets.source import Form, LazyData, RawData
from paribus.datasets.stratify import part_of

Size = float | int | Literal["redraw"]


def redrawn(raw: RawData | LazyData, form: Form, size: Size, seed: int) -> tuple[RawData | LazyData, Tensor, Tensor]:
    """The data with a test part of `size` samples that is drawn from all of them, and the indices of both parts.

    Where a sample has one class, the part keeps the share of every class. Indices count the samples of the source's
    training part first, then those of its test part.

    size: "redraw" for as many as the source's own test part has, a share or a number.

    Raises ValueError for a size that leaves nothing to train.
    """
    y = torch.cat([raw.train_y, raw.test_y])
    number = len(raw.test_y) if size == "redraw" else round(size * len(y)) if isinstance(size, float) else size
    if not 1 <= number < len(y) - 1:
        raise ValueError(
            f"data.test must be redraw, a share in (0, 1) or a number of samples from 1 to {len(y) - 2}, got {size}"
        )
    rest, test = part_of(y, form, number, mix(seed, 11))
    if isinstance(raw, LazyData):
        pool: Dataset[Any] = ConcatDataset([raw.train, raw.test])
        return LazyData(Subset(pool, rest.tolist()), y[rest], Subset(pool, test.tolist()), y[test]), rest, test
    x = torch.cat([raw.train_x, raw.test_x])
    return RawData(x[rest], y[rest], x[test], y[test]), rest, test

"""The protocol of a data source: a data set before it is split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import Dataset


class MissingDataError(ValueError):
    """Files of a data set are not where they were looked for; the message says where and how to get them."""


@dataclass
class RawData:
    """All samples in memory: x (N, C, H, W) uint8 or float, y (N,) int64."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass
class LazyData:
    """Samples that are read one by one: data sets of (x (C, H, W) uint8, y int), and their labels."""

    train: Dataset[Any]
    train_y: Tensor
    test: Dataset[Any]
    test_y: Tensor


@runtime_checkable
class Source(Protocol):
    """A data set by name. shape and num_classes are known before anything is loaded."""

    name: str
    shape: tuple[int, int, int]  # channels, height, width
    num_classes: int

    def load(self) -> RawData | LazyData:
        """Raises MissingDataError where files are missing."""
        ...


def find_file(folders: list[Path], names: list[str]) -> Path | None:
    """The first of the names in the first of the folders that has one."""
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None

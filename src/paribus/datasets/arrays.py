"""Arrays of the user's own in a NumPy file (.npz): samples of any kind, with their targets."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from paribus.datasets.columns import Array, Table, check_values
from paribus.datasets.files import signature
from paribus.datasets.parts import Duplicates, row_keys, share, without_copies
from paribus.datasets.source import KindOfX, KindOfY, MissingDataError, RawData
from paribus.datasets.targets import OwnData, Targets, as_columns, kind_of_targets, strata, targets_of

_PARTS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Settings:
    """How a file of arrays is read."""

    path: str
    kind_of_x: KindOfX | None
    kind_of_y: KindOfY | None
    vocabulary_size: int | None
    channels: Literal["first", "last"] | None
    test_share: float
    test_seed: int
    duplicates: Duplicates


class Arrays(OwnData):
    """x_train, y_train, x_test and y_test of an .npz file; or x and y, of which a share is the test part.

    x: (N, features), (N, channels, height, width), (N, places, features), or whole numbers (N, places) for tokens.
    y: classes (N,) as whole numbers or text, numbers (N,) or (N, T), or labels (N, K) of 0 and 1.
    kind_of_x: image, vector or sequence; null tells it from the shape, where only one is possible.
    vocabulary_size: of tokens. channels: of images, first or last; null tells it from the shape.
    kind_of_y, test_share, test_seed, duplicates: as for tables, see `paribus.datasets.tables.TableSource`.

    Nothing in the file is executed: arrays of Python objects are refused.

    Raises MissingDataError where the file is missing, ValueError for arrays that don't fit together.
    """

    name = "arrays"

    def __init__(
        self,
        path: str,
        kind_of_x: KindOfX | None = None,
        kind_of_y: KindOfY | None = None,
        vocabulary_size: int | None = None,
        channels: Literal["first", "last"] | None = None,
        test_share: float = 0.2,
        test_seed: int = 0,
        duplicates: Duplicates = "error",
    ):
        if not Path(path).is_file():
            raise MissingDataError(f"There is no file {Path(path).resolve()}. Set data.source.path to an .npz file")
        if not 0 < test_share < 1:
            raise ValueError(f"test_share must lie between 0 and 1, got {test_share}. Try 0.2")
        self.settings = Settings(
            path, kind_of_x, kind_of_y, vocabulary_size, channels, test_share, test_seed, duplicates
        )
        self.vocabulary_size = vocabulary_size

    @property
    def contents(self) -> _Contents:
        return _contents(self.settings, signature(self.settings.path))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.contents.raw.train_x.shape[1:])

    @property
    def kind_of_x(self) -> KindOfX:
        return self.contents.kind_of_x

    @property
    def kind_of_y(self) -> KindOfY:
        return self.contents.targets.kind


@dataclass
class _Contents:
    raw: RawData
    targets: Targets
    kind_of_x: KindOfX


@functools.lru_cache(maxsize=2)
def _contents(settings: Settings, signed: tuple[int, ...]) -> _Contents:
    """What lies in the file, read once in a process and in those that are forked from it."""
    arrays = _read(settings.path)
    given: tuple[str, ...] = _PARTS if "x_train" in arrays else ("x", "y")
    if lost := [name for name in given if name not in arrays]:
        raise ValueError(
            f"a file of arrays has x_train, y_train, x_test and y_test, or x and y; {settings.path} has no {lost[0]} "
            f"among {', '.join(arrays) or 'none'}. Write it with np.savez"
        )
    xs, ys = [arrays[name] for name in given[::2]], [arrays[name] for name in given[1::2]]
    for name, x, y in zip(given[::2], xs, ys, strict=True):
        if x.ndim < 2 or y.ndim not in (1, 2) or len(x) != len(y) or not len(x):
            raise ValueError(
                f"x is (N, ...) and y (N,) or (N, T) with as many samples, and {name} of {settings.path} has the shape "
                f"{x.shape} and its y {y.shape}. Correct them"
            )
    if any(each.shape[1:] != same[0].shape[1:] for same in (xs, ys) for each in same):
        raise ValueError(f"both parts have samples and targets of one shape, and those of {settings.path} differ: x "
                         f"{[x.shape for x in xs]}, y {[y.shape for y in ys]}. Correct them")  # fmt: skip
    kind_of_x = _kind_of_x(settings, xs[0])
    x = np.concatenate([_placed(each, kind_of_x, settings.channels) for each in xs])
    first = len(xs[0])
    names = given[1::2]

    def place(row: int) -> str:
        return f"row {row} of {names[0]}" if row < first else f"row {row - first} of {names[1]}"

    table = Table(as_columns(np.concatenate(ys), "y"), place)
    check_values(table, "error")
    kind_of_y = kind_of_targets(table, settings.kind_of_y)
    keys = row_keys(x, *(_codes(column.values) for column in table.columns))
    if len(xs) == 1:
        train, test = share(keys, strata(table, kind_of_y), settings.test_share, settings.test_seed)
    else:
        test = np.arange(first, len(x))
        places = place, (lambda k: place(first + k))
        train = without_copies(keys[:first], keys[first:], settings.duplicates, *places)
    targets = targets_of(table.of(train), table.of(test), kind_of_y)
    parts = [torch.from_numpy(x[rows]) for rows in (train, test)]
    return _Contents(RawData(parts[0], targets.train, parts[1], targets.test), targets, kind_of_x)


def _read(path: str) -> dict[str, Array]:
    """The arrays that are of use, in types that torch has."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .npz file. Write it with np.savez(path, x=..., y=...)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in (*_PARTS, "x", "y")}
    except MemoryError:
        raise ValueError(f"{path} does not fit into memory. Use fewer samples") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} can't be read: {error}. Write arrays of numbers with np.savez") from None
    for name, array in arrays.items():
        kinds = "buifU" if name.startswith("y") else "buif"
        if array.dtype.kind not in kinds:
            raise ValueError(f"{name} of {path} holds {array.dtype}, and arrays of numbers are needed. Convert it")
        arrays[name] = array if array.dtype.kind == "U" else array.astype(_native(array.dtype), copy=False)
    return arrays


def _native(dtype: np.dtype[Any]) -> type:
    if dtype.kind == "b" or dtype == np.uint8:
        return np.uint8
    if dtype.kind in "ui":
        return np.int64
    return np.float64 if dtype.itemsize >= 8 else np.float32


def _kind_of_x(settings: Settings, x: Array) -> KindOfX:
    """Raises ValueError where the shape leaves a choice and none is given."""
    if settings.kind_of_x is not None:
        return settings.kind_of_x
    if settings.vocabulary_size is not None:
        return "sequence"
    if x.ndim == 4:
        return "image"
    if x.ndim == 2 and x.dtype != np.int64:
        return "vector"
    choices = {2: "vector (quantities), or sequence with a vocabulary_size (tokens)", 3: "sequence or image"}
    raise ValueError(
        f"x of {settings.path} has the shape {x.shape} and the type {x.dtype}, which leaves a choice. Say "
        f"data.source.kind_of_x={choices.get(x.ndim, 'image, vector or sequence, and give it such a shape')}"
    )


def _placed(x: Array, kind: KindOfX, channels: Literal["first", "last"] | None) -> Array:
    """Images as (N, C, H, W); anything else as it is."""
    if kind != "image":
        return x
    if x.ndim == 3:
        return x[:, None]
    if x.ndim != 4:
        raise ValueError(f"images are (N, channels, height, width) or (N, height, width), and x has {x.shape}")
    if channels is None and x.shape[1] not in (1, 3) and x.shape[-1] in (1, 3, 4):
        raise ValueError(
            f"images of shape {x.shape[1:]} seem to have their channels at the end. Say data.source.channels=last, or "
            "first if they are (channels, height, width)"
        )
    return np.moveaxis(x, -1, 1) if channels == "last" else x


def _codes(values: Array) -> Array:
    """Numbers that are equal for equal values."""
    return np.unique(values.astype(str), return_inverse=True)[1] if values.dtype == object else values

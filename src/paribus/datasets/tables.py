"""Tables of the user's own: a row for each sample, the target in a column. What all kinds of files have in common."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paribus.base.text import near
from paribus.datasets.columns import Array, Column, Encoder, Missing, Table, Unseen, check_values, parsed
from paribus.datasets.files import signature
from paribus.datasets.parts import Duplicates, row_keys, share, without_copies
from paribus.datasets.source import KindOfX, KindOfY, MissingDataError, RawData
from paribus.datasets.targets import OwnData, Targets, kind_of_targets, strata, targets_of

Names = str | int | Sequence[str | int]


@dataclass(frozen=True)
class Settings:
    """How a table is read."""

    path: str
    target: tuple[str, ...]
    features: tuple[str, ...] | None
    ignore: tuple[str, ...]
    test: str | None
    test_share: float
    test_seed: int
    kind_of_y: KindOfY | None
    categorical: tuple[str, ...]
    missing: Missing
    unseen: Unseen
    max_categories: int
    duplicates: Duplicates
    decimal: str = "."
    form: tuple[Any, ...] = field(default=())  # of the file


@dataclass
class File:
    """A file as it was read. columns: name -> its cells as texts, or values of a type (float64, or text as objects).

    place(k): where row k stands. unnamed: columns without a name of their own, such as an index that was written too.
    """

    columns: dict[str, list[str] | Array]
    rows: int
    place: Callable[[int], str]
    unnamed: tuple[str, ...] = ()


@dataclass
class Contents:
    """A table that has been read, split and made numbers."""

    raw: RawData
    targets: Targets
    feature_names: list[str]


class TableSource(OwnData):
    """What CSV and Parquet have in common. It is read when something is first asked of it.

    path: the file. target: the name of the column to predict, or several.
    features: the columns to predict from; null for all others but those of `ignore`.
    test: a file of the test part; null takes a share `test_share` of the rows, drawn by `test_seed`. Copies of a row
        stay in one part, and every class has its share in both.
    kind_of_y: class, number or labels; null tells it from the values (see `kind_of_targets`).
    categorical: columns whose numbers are names (codes, years), each category of which becomes a feature.
    missing: what a missing value is: an error, drop (the row is left out, in the test part too), or mean (of the
        training part; for text a category of its own). Missing targets are errors, or dropped.
    unseen: a category that the training part does not have is an error, or all of its indicators are 0 (zeros).
    max_categories: of a text column; more are an error.
    duplicates: rows of a test file that are also in the training file are an error, kept (keep), or left out of the
        training part (drop).

    The training part is that of the source: a validation set is taken from it later, and takes part in categories and
    means.

    Raises MissingDataError where a file is missing, ValueError for what it can't be, with the column and the line.
    """

    name: str
    kind_of_x: KindOfX = "vector"

    def __init__(self, settings: Settings):
        self.settings = settings
        if not 0 < settings.test_share < 1:
            raise ValueError(f"test_share must lie between 0 and 1, got {settings.test_share}. Try 0.2")
        if not settings.target:
            raise ValueError("target must name a column, got none. Give data.source.target")
        for key, names in (("path", settings.path), ("test", settings.test)):
            if names is not None and not Path(names).is_file():
                raise MissingDataError(
                    f"There is no file {Path(names).resolve()}. Set data.source.{key} to a {self.name} file"
                )

    @classmethod
    @abstractmethod
    def read(cls, path: str, settings: Settings) -> File:
        """Raises ValueError for a file that is not of this kind."""

    @property
    def contents(self) -> Contents:
        paths = (path for path in (self.settings.path, self.settings.test) if path is not None)
        return _contents(self.read, self.settings, *map(signature, paths))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> list[str]:
        return self.contents.feature_names

    @property
    def kind_of_y(self) -> KindOfY:
        return self.settings.kind_of_y or self.contents.targets.kind


def names(given: Names | None) -> tuple[str, ...]:
    """Names of columns as texts: a file without a header has the numbers from 0 on."""
    if given is None:
        return ()
    return tuple(map(str, given)) if isinstance(given, list | tuple) else (str(given),)


@functools.lru_cache(maxsize=2)
def _contents(read: Callable[[str, Settings], File], settings: Settings, *signatures: Any) -> Contents:
    """What lies in the files, read once in a process and in those that are forked from it."""
    files = [read(path, settings) for path in (settings.path, settings.test) if path is not None]
    target, features = _columns(settings, files)
    for path, file in zip((settings.path, settings.test), files, strict=False):
        if not file.rows:
            raise ValueError(f"a table has a row for each sample, and {path} has none. Give at least a few")
    first = files[0].rows

    def place(row: int) -> str:
        return files[0].place(row) if row < first else files[1].place(row - first)

    def column(name: str) -> Column:
        return typed(name, [file.columns[name] for file in files], place, settings)

    table = Table([column(name) for name in (*target, *features)], place)
    part = np.arange(len(table)) >= first  # whether a row is of the test file
    if settings.missing == "drop":
        kept = ~np.any([each.missing for each in table.columns], 0)
        table, part = table.of(np.flatnonzero(kept)), part[kept]
        if not len(table):
            raise ValueError(f"every row of {settings.path} has a missing value. Use data.source.missing=mean")
    y, x = Table(table.columns[: len(target)], table.place), Table(table.columns[len(target) :], table.place)
    check_values(y, "error", ", or leave such rows out with data.source.missing=drop")
    check_values(x, settings.missing, ", or use data.source.missing=drop or missing=mean")
    kind = kind_of_targets(y, settings.kind_of_y)
    keys = row_keys(np.stack([_codes(each) for each in table.columns], 1))
    if settings.test is None:
        train, test = share(keys, strata(y, kind), settings.test_share, settings.test_seed)
    else:
        train, test = np.flatnonzero(~part), np.flatnonzero(part)
        own, others = [keys[k] for k in train], [keys[k] for k in test]
        places = (lambda k: table.place(int(train[k]))), (lambda k: table.place(int(test[k])))
        train = train[without_copies(own, others, settings.duplicates, *places)]
    encode = Encoder(x.of(train), settings.missing, settings.unseen, settings.max_categories)
    targets = targets_of(y.of(train), y.of(test), kind)
    matrices = [torch.from_numpy(encode(x.of(rows))) for rows in (train, test)]
    return Contents(RawData(matrices[0], targets.train, matrices[1], targets.test), targets, encode.feature_names)


def typed(name: str, parts: Sequence[Any], place: Callable[[int], str], settings: Settings) -> Column:
    """A column of the cells of text files, or of arrays that have a type already."""
    categorical = name in settings.categorical
    if isinstance(parts[0], list):
        return parsed(name, [cell for part in parts for cell in part], place, categorical, settings.decimal)
    if len({part.dtype for part in parts}) > 1:
        raise ValueError(f"the column {name!r} holds text in one file and numbers in the other. Correct one of them")
    values = np.concatenate(parts)
    if categorical and values.dtype != object:
        values = np.array([None if np.isnan(value) else f"{value:.17g}" for value in values], dtype=object)
    return Column(name, values)


def _codes(column: Column) -> Array:
    """Equal numbers for equal values, missing ones included."""
    if not column.is_text:
        return np.where(np.isnan(column.values), np.nan, column.values) + 0.0  # one nan, one zero
    number: dict[Any, int] = {}
    return np.array([number.setdefault(value, len(number)) for value in column.values])


def _columns(settings: Settings, files: Sequence[File]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the target's columns and of the features. Raises ValueError for those that are not there."""
    found = list(files[0].columns)
    asked = {
        "target": settings.target,
        "features": settings.features or (),
        "ignore": settings.ignore,
        "categorical": settings.categorical,
    }
    for key, given in asked.items():
        for name in given:
            if name not in found:
                listed = ", ".join(found[:20]) + (" and more" if len(found) > 20 else "")
                raise ValueError(
                    f"data.source.{key} names columns of {settings.path}, and it has no {name!r}.{near(name, found)} "
                    f"It has {listed}"
                )
    without = {*settings.target, *settings.ignore}
    features = settings.features or tuple(name for name in found if name not in without)
    if both := [name for name in features if name in without]:
        raise ValueError(f"{both[0]!r} can't be a feature and also the target or ignored. Take it out of one of them")
    if not features:
        raise ValueError(f"{settings.path} has no column beside the target. Give it at least one feature")
    if settings.features is None and (unnamed := [name for name in files[0].unnamed if name in features]):
        raise ValueError(
            f"column {unnamed[0]} of {settings.path} has no name of its own, as the index that pandas writes, which "
            f"says where a row stood. Leave it out with data.source.ignore=[{unnamed[0]}], or name it"
        )
    if len(files) > 1 and (lost := [name for name in (*settings.target, *features) if name not in files[1].columns]):
        raise ValueError(f"{settings.test} has no column {lost[0]!r}, which {settings.path} has. Give both the same")
    return settings.target, features

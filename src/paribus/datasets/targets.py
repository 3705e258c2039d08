"""The targets of a user's own data, from columns: which kind they are, and the classes by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from paribus.datasets.columns import Array, Column, Table
from paribus.datasets.source import KindOfY, RawData

MOST_CLASSES = 100  # of whole numbers, where nobody says that they are classes


@dataclass
class Targets:
    """y of both parts, as `RawData` has it. size: K classes or labels, T numbers. classes: their names, in order."""

    kind: KindOfY
    size: int
    train: Tensor
    test: Tensor
    classes: list[str]


class HasTargets(Protocol):
    """What was read of a user's files."""

    raw: RawData
    targets: Targets


class OwnData(ABC):
    """A source whose form is known by its files. They are read when something is first asked of them."""

    @property
    @abstractmethod
    def contents(self) -> HasTargets:
        """What lies in the files."""

    @property
    def classes(self) -> list[str]:
        """The names of the classes or labels, in the order of their numbers."""
        return self.contents.targets.classes

    @property
    def num_classes(self) -> int:
        return self.contents.targets.size

    @property
    def num_outputs(self) -> int:
        return self.contents.targets.size

    def load(self) -> RawData:
        return self.contents.raw


def kind_of_targets(table: Table, given: KindOfY | None) -> KindOfY:
    """What the columns of a target are, by what they hold; `given` where the user says it.

    Text is a class. Whole numbers are classes if they are few, and other numbers are numbers. Several columns of 0 and
    1 are labels.

    Raises ValueError where that can't be told, or where it contradicts what is given.
    """
    columns = table.columns
    names = ", ".join(column.name for column in columns)
    numeric = not any(column.is_text for column in columns)
    binary = numeric and all(bool(np.isin(column.values, (0, 1)).all()) for column in columns)
    whole = numeric and all(bool((column.values == np.round(column.values)).all()) for column in columns)
    if given == "class":
        if len(columns) > 1 or (numeric and not whole):
            raise ValueError(f"a class is one column of text or whole numbers, and the target {names} is not. "
                             "Use data.source.kind_of_y=number, or labels for columns of 0 and 1")  # fmt: skip
        return "class"
    if given == "number" and not numeric:
        raise ValueError(f"a target with kind_of_y=number holds numbers, and {names} holds text. Use kind_of_y=class")
    if given == "labels" and not binary:
        raise ValueError(f"labels are columns of 0 and 1, and {names} hold other values. Use kind_of_y=number or class")
    if given is not None:
        return given
    if len(columns) > 1:
        if not numeric:
            raise ValueError(f"several targets are numbers, or labels of 0 and 1, and some of {names} hold text. "
                             "Give one column as data.source.target")  # fmt: skip
        if binary and bool((np.sum([column.values for column in columns], 0) == 1).all()):
            raise ValueError(
                f"every row of the targets {names} has exactly one 1, as one-hot classes have. Give one column of "
                "classes, or say data.source.kind_of_y=labels"
            )
        return "labels" if binary else "number"
    if numeric and not whole:
        return "number"
    distinct = len(np.unique(columns[0].values)) if numeric else 0
    if distinct > MOST_CLASSES or 2 * distinct > len(table):
        raise ValueError(
            f"the target {names} holds {distinct} different whole numbers in {len(table)} rows: classes or "
            "numbers? Say data.source.kind_of_y=number or data.source.kind_of_y=class"
        )
    return "class"


def strata(table: Table, kind: KindOfY) -> Tensor | None:
    """The class of each row by number, for a split that keeps their shares; None where there is no class."""
    if kind != "class":
        return None
    values = table.columns[0].values
    return torch.from_numpy(np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)[1])


def targets_of(train: Table, test: Table, kind: KindOfY) -> Targets:
    """The targets of both parts. Classes are numbered in sorted order of the training part.

    Raises ValueError for fewer than two classes, and for a test row whose class the training part does not have.
    """
    if kind != "class":
        parts = [np.stack([column.values for column in table.columns], 1) for table in (train, test)]
        size = parts[0].shape[1]
        if kind == "number" and size == 1:
            parts = [part[:, 0] for part in parts]
        y, y_test = map(torch.from_numpy, parts)
        return Targets(kind, size, y, y_test, [column.name for column in train.columns])
    values = sorted(set(train.columns[0].values.tolist()))
    if len(values) < 2:
        raise ValueError(
            f"at least two classes are needed, and {train.columns[0].name!r} has {len(values)} in the training part"
        )
    number = {value: k for k, value in enumerate(values)}
    y_test = torch.tensor([_class(test, row, value, number) for row, value in enumerate(test.columns[0].values)])
    y = torch.tensor([number[value] for value in train.columns[0].values.tolist()])
    return Targets(kind, len(values), y, y_test, [_text(value) for value in values])


def _class(test: Table, row: int, value: object, number: dict[object, int]) -> int:
    if value not in number:
        raise ValueError(
            f"every class of the test part is also in the training part, and {_text(value)!r} in {test.place(row)} is "
            "not. Correct it, or leave the class out"
        )
    return number[value]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_columns(y: Array, name: str) -> list[Column]:
    """An array (N,) or (N, T) as columns of numbers or text."""
    parts = [y] if y.ndim == 1 else list(y.T)
    names = [name] if y.ndim == 1 else [f"{name}[{k}]" for k in range(len(parts))]
    kind = object if y.dtype.kind == "U" else np.float64
    return [Column(each, part.astype(kind)) for each, part in zip(names, parts, strict=True)]

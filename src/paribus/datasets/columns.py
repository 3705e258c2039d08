"""The columns of a table as numbers: text becomes one indicator (0 or 1) for each category."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Missing = Literal["error", "drop", "mean"]
Unseen = Literal["error", "zeros"]
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))  # of numbers, in any case of letters
_NO_VALUE = "(missing)"  # as a category
_NUMERAL = re.compile(r"[$€£]?\s*[+-]?\d[\d.,\s']*\s*[%$€£]?")


@dataclass
class Column:
    """One column. values: float64 (N,), nan where missing; or text as objects (N,), None where missing."""

    name: str
    values: Array

    @property
    def is_text(self) -> bool:
        return bool(self.values.dtype == object)

    @property
    def missing(self) -> Array:
        """(N,) bool"""
        if self.is_text:
            return np.array([value is None for value in self.values], dtype=bool)
        return np.isnan(self.values)

    def of(self, rows: Array) -> Column:
        return Column(self.name, self.values[rows])


@dataclass
class Table:
    """Columns of one length, and where their rows come from. place(k): the file and the line of row k."""

    columns: list[Column]
    place: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def of(self, rows: Array) -> Table:
        return Table([column.of(rows) for column in self.columns], lambda k: self.place(int(rows[k])))


def parsed(
    name: str, cells: Sequence[str], place: Callable[[int], str], categorical: bool, decimal: str = "."
) -> Column:
    """The column of the cells of a text file: of numbers if all of its cells are, and text if none is.

    Missing among numbers: empty, NA, N/A, nan, null, none, ? (upper or lower case); among text: empty only.
    categorical: text, whatever it looks like. decimal: the sign before the fraction of a number.

    Raises ValueError for a column with both, which names the first cell that is no number, and for text that looks like
    numbers in another notation.
    """
    stripped = [cell.strip() for cell in cells]
    if not categorical:
        present = [cell.lower() not in _MISSING for cell in stripped]
        numbers = np.full(len(stripped), np.nan)
        wrong = _fill(
            numbers, [cell.replace(decimal, ".") for cell in stripped] if decimal != "." else stripped, present
        )
        if wrong is None:
            return Column(name, numbers)
        if not np.isnan(numbers).all():
            raise ValueError(
                f"a column holds numbers or text, and {name!r} has numbers and, in {place(wrong)}, "
                f"{stripped[wrong]!r}. Correct it, or list the column in data.source.categorical"
            )
        if all(_NUMERAL.fullmatch(cell) for cell in stripped if cell):
            raise ValueError(
                f"{name!r} holds text that looks like numbers, such as {stripped[wrong]!r} in {place(wrong)}. Write "
                "digits with a decimal point only (or say data.source.decimal), or list the column in "
                "data.source.categorical"
            )
    return Column(name, np.array([cell or None for cell in stripped], dtype=object))


def _fill(numbers: Array, cells: Sequence[str], present: Sequence[bool]) -> int | None:
    """Write the numbers among the cells that are present; the first one that is none."""
    chosen = np.flatnonzero(present).tolist()
    try:
        numbers[chosen] = np.array([cells[k] for k in chosen]).astype(np.float64) if len(chosen) else []
        return None
    except ValueError:
        wrong = None
        for k in chosen:
            try:
                numbers[k] = float(cells[k])
            except ValueError:
                wrong = k if wrong is None else wrong
        return wrong


def check_values(table: Table, missing: Missing, also: str = "") -> None:
    """Raises ValueError for an infinite number, and for a missing value where these are errors."""
    for column in table.columns:
        wrong = column.missing if missing == "error" else np.zeros(len(table), dtype=bool)
        if not column.is_text:
            wrong = wrong | np.isinf(column.values)
        if not wrong.any():
            continue
        row = int(np.flatnonzero(wrong)[0])
        value = column.values[row]
        what = "is missing" if value is None or np.isnan(value) else f"is {value}"
        raise ValueError(
            f"every value must be there and finite, and that of {column.name!r} in {table.place(row)} {what} "
            f"({int(wrong.sum())} such rows in all). Correct the file{also}"
        )


class Encoder:
    """Features as a matrix (N, F): numbers as they are, and each category of a text column as 0 or 1, in sorted order.

    Categories and means are those of the training part that it is made from.

    Raises ValueError for a column with more than `max_categories` categories, and for one without any value.
    """

    def __init__(self, training: Table, missing: Missing, unseen: Unseen, max_categories: int):
        self.missing, self.unseen = missing, unseen
        self.categories: list[list[str] | None] = []
        self.means: list[float] = []
        for column in training.columns:
            if column.is_text:
                found = sorted({_NO_VALUE if value is None else value for value in column.values})
                if len(found) > max_categories:
                    raise ValueError(
                        f"the text column {column.name!r} has {len(found)} categories, e.g. {found[0]!r} and "
                        f"{found[1]!r}, and data.source.max_categories={max_categories}. Raise it, or leave the column "
                        f"out with data.source.ignore=[{column.name}]"
                    )
                self.categories.append(found)
                self.means.append(np.nan)
            else:
                if column.missing.all():
                    raise ValueError(
                        f"the column {column.name!r} has no value in the training part. Leave it out with "
                        f"data.source.ignore=[{column.name}]"
                    )
                self.categories.append(None)
                self.means.append(float(np.nanmean(column.values)))
        self.feature_names = list(self._names(training.columns))

    def _names(self, columns: Sequence[Column]) -> Iterator[str]:
        for column, categories in zip(columns, self.categories, strict=True):
            yield from [column.name] if categories is None else [f"{column.name}={each}" for each in categories]

    def __call__(self, table: Table) -> Array:
        """(N, F) float64. Raises ValueError for a category that the training part lacks, unless unseen=zeros."""
        blocks = []
        for column, categories, mean in zip(table.columns, self.categories, self.means, strict=True):
            if categories is None:
                blocks.append(np.where(np.isnan(column.values), mean, column.values)[:, None])
            else:
                blocks.append(self._indicators(table, column, categories))
        return np.concatenate(blocks, 1)

    def _indicators(self, table: Table, column: Column, categories: list[str]) -> Array:
        number = {category: k for k, category in enumerate(categories)}
        block = np.zeros((len(table), len(categories)))
        for row, value in enumerate(column.values):
            k = number.get(_NO_VALUE if value is None else value)
            if k is not None:
                block[row, k] = 1.0
            elif self.unseen == "error":
                raise ValueError(
                    f"the category {value or _NO_VALUE!r} of {column.name!r} in {table.place(row)} is not in the "
                    "training part. Correct it, or use data.source.unseen=zeros, which sets all of its indicators to 0"
                )
        return block

"""Tables in CSV and in Parquet files."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np

from paribus.datasets.columns import Array, Missing, Unseen
from paribus.datasets.parts import Duplicates
from paribus.datasets.source import KindOfY, MissingDataError
from paribus.datasets.tables import File, Settings, TableSource, names


class CSV(TableSource):
    """A text file in UTF-8 with a line for each sample. See `TableSource` for the other arguments.

    delimiter: between the cells of a line; "\\t" for tabs.
    decimal: the sign before the fraction of a number.
    header: whether the first line names the columns; otherwise their names are 0, 1, 2 and so on.
    """

    name = "csv"

    def __init__(
        self,
        path: str,
        target: str | int | list[str | int],
        features: list[str | int] | None = None,
        ignore: list[str | int] | None = None,
        test: str | None = None,
        test_share: float = 0.2,
        test_seed: int = 0,
        kind_of_y: KindOfY | None = None,
        categorical: list[str | int] | None = None,
        missing: Missing = "error",
        unseen: Unseen = "error",
        max_categories: int = 100,
        duplicates: Duplicates = "error",
        delimiter: str = ",",
        decimal: str = ".",
        header: bool = True,
    ):
        delimiter = "\t" if delimiter == "\\t" else delimiter
        if len(delimiter) != 1:
            raise ValueError(f"delimiter must be one character, got {delimiter!r}. Try data.source.delimiter=';'")
        if decimal not in (".", ",") or decimal == delimiter:
            raise ValueError(
                f"decimal must be . or , and another character than the delimiter, got {decimal!r} and {delimiter!r}. "
                "Try data.source.delimiter=';' data.source.decimal=','"
            )
        super().__init__(
            Settings(
                *(path, names(target), names(features) or None, names(ignore), test, test_share, test_seed, kind_of_y),
                *(names(categorical), missing, unseen, max_categories, duplicates, decimal, (delimiter, header)),
            )
        )

    @classmethod
    def read(cls, path: str, settings: Settings) -> File:
        delimiter, header = settings.form
        rows: list[list[str]] = []
        lines: list[int] = []
        first: list[str] = []
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            try:
                for row in reader:
                    if not row:  # an empty line
                        continue
                    first = first or row
                    if len(row) != len(first):
                        raise ValueError(
                            f"every line has as many cells as the first, and line {reader.line_num} of {path} has "
                            f"{len(row)} where the first has {len(first)}. Correct it, or give data.source.delimiter"
                        )
                    rows.append(row)
                    lines.append(reader.line_num)
            except csv.Error as error:
                raise ValueError(f"line {reader.line_num} of {path} is not CSV: {error}. Correct it") from None
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not UTF-8 text: {error}. Convert it") from None
        heads = [cell.strip() for cell in first] if header else []
        rows, lines = (rows[1:], lines[1:]) if header else (rows, lines)
        numbers = [str(number) for number in range(len(first))]
        found = [head or number for head, number in zip(heads, numbers, strict=True)] if header else numbers
        if twice := sorted({name for name in found if found.count(name) > 1}):
            raise ValueError(
                f"the columns of a table have different names, and {path} has {twice[0]!r} twice. Rename one"
            )
        cells = map(list, zip(*rows, strict=True)) if rows else [[] for _ in found]
        unnamed = tuple(number for head, number in zip(heads, numbers, strict=True) if not head) if header else ()
        return File(dict(zip(found, cells, strict=True)), len(rows), lambda k: f"line {lines[k]} of {path}", unnamed)


class Parquet(TableSource):
    """A Parquet file, read with pyarrow. See `TableSource` for the arguments.

    Text is categories even where it spells numbers; truth values are 0 and 1.

    Raises MissingDataError where pyarrow is missing.
    """

    name = "parquet"

    def __init__(
        self,
        path: str,
        target: str | list[str],
        features: list[str] | None = None,
        ignore: list[str] | None = None,
        test: str | None = None,
        test_share: float = 0.2,
        test_seed: int = 0,
        kind_of_y: KindOfY | None = None,
        categorical: list[str] | None = None,
        missing: Missing = "error",
        unseen: Unseen = "error",
        max_categories: int = 100,
        duplicates: Duplicates = "error",
    ):
        super().__init__(
            Settings(
                *(path, names(target), names(features) or None, names(ignore), test, test_share, test_seed, kind_of_y),
                *(names(categorical), missing, unseen, max_categories, duplicates),
            )
        )

    @classmethod
    def read(cls, path: str, settings: Settings) -> File:
        try:
            import pyarrow as arrow
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise MissingDataError("data=parquet needs the extra: pip install 'paribus[parquet]'") from error
        try:
            table = parquet.read_table(path, use_threads=False)
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} can't be read as Parquet: {error}. Write it again") from None
        wanted = {*settings.target, *settings.features} if settings.features else None
        columns: dict[str, Any] = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in columns:
                raise ValueError(
                    f"the columns of a table have different names, and {path} has {name!r} twice. Rename one"
                )
            used = name in wanted if wanted else name not in settings.ignore
            columns[name] = _values(path, name, column) if used else np.full(len(table), np.nan)
        unnamed = tuple(name for name in columns if name.startswith("__index_level_"))
        return File(columns, len(table), lambda k: f"row {k} of {path}", unnamed)


def _values(path: str, name: str, column: Any) -> Array:
    """float64 with nan, or text as objects with None."""
    import pyarrow as arrow

    kind = column.type
    if arrow.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if arrow.types.is_string(kind) or arrow.types.is_large_string(kind):
        return np.array(column.to_pylist(), dtype=object)
    if arrow.types.is_boolean(kind):
        column = column.cast(arrow.int8())
    elif not (arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_decimal(kind)):
        raise ValueError(
            f"a column holds numbers, truth values or text, and {name!r} of {path} is {kind}. Convert it, or leave it "
            f"out with data.source.ignore=[{name}]"
        )
    if arrow.types.is_float16(kind):  # Arrow itself casts it in later versions only
        return np.asarray(column.to_numpy(), dtype=np.float64)
    values: Array = column.cast(arrow.float64(), safe=False).to_numpy()
    return values

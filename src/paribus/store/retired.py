"""Retired records: results that are not used any more, because a fault of the code made them wrong.

A list of them lies beside the shipped records (results/retired.yaml). An entry says which records, and why:

    - fault: Shampoo did not precondition small tensors    # what is wrong with them
      date: 2026-11-29                                     # when that was mended
      choices: {optimizer: shampoo}                        # all that finished earlier with these choices; or
      ids: [0123456789abcdef]                              # these
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.store.names import read_yaml
from paribus.store.record import Record


@dataclass(frozen=True)
class Retired:
    """date: ISO 8601. A record is meant by its id, or by all of `choices` if it finished before `date`."""

    fault: str
    date: str
    ids: frozenset[str] = frozenset()
    choices: Mapping[str, Any] = field(default_factory=dict)

    def means(self, record: Record) -> bool:
        if record.id in self.ids:
            return True
        same = bool(self.choices) and all(record.choices.get(key) == value for key, value in self.choices.items())
        return same and (record.finished or "") < self.date


def read_retired(path: Path) -> list[Retired]:
    """The entries of a list; [] where there is no such file. Raises UserError for one of another form."""
    if not path.exists():
        return []
    try:
        entries = read_yaml(path) or []
        found = [
            Retired(**{**each, "date": str(each["date"]), "ids": frozenset(each.get("ids", ()))}) for each in entries
        ]
        if any(bool(each.ids) == bool(each.choices) for each in found):
            raise ValueError("an entry has either ids or choices")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} must be a list of entries with fault, date, and ids or choices ({type(error).__name__}: {error})"
        ) from error
    return found


def why_retired(record: Record, entries: list[Retired]) -> str | None:
    """What is wrong with a record; None for one that counts."""
    return next((f"{each.fault} ({each.date})" for each in entries if each.means(record)), None)

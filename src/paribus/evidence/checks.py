"""Results of checks on disk: outputs/checks/<id>.json, each with its provenance. Imports no torch."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically
from paribus.base.errors import UserError
from paribus.evidence.measurement import Measurement, overall
from paribus.store.names import read_bounded
from paribus.store.store import Store

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}")


def is_check(name: object) -> bool:
    """Whether a text can be the id of a check, such as 1.2-5t: it names a file."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


@dataclass(frozen=True)
class Stored:
    """What a check has measured. seconds: how long it took. fingerprint: of the code that measured."""

    id: str
    measurements: tuple[Measurement, ...]
    fingerprint: str
    seconds: float
    provenance: dict[str, Any]
    finished: str

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "measurements": [each.as_dict() for each in self.measurements]}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Stored:
        """Raises ValueError, KeyError or TypeError for what `as_dict` did not write."""
        if not is_check(content["id"]):
            raise ValueError(f"the id of a check is one such as 1.2-5t, got {str(content['id'])[:70]!r}")
        return Stored(**{**content, "measurements": tuple(map(Measurement.from_dict, content["measurements"]))})

    @property
    def outcome(self) -> str:
        return overall(self.measurements)


def read(store: Store, id: str) -> Stored | None:
    """None where there is none; a damaged file is named in a warning and counts as none."""
    path = path_of(store, id)
    try:
        return Stored.from_dict(json.loads(read_bounded(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        warnings.warn(f"{path} can't be used: {error}; the check counts as not made", stacklevel=2)
        return None


def write(store: Store, stored: Stored) -> None:
    path = path_of(store, stored.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(stored.as_dict(), indent=1, ensure_ascii=False))


def path_of(store: Store, id: str) -> Path:
    if not is_check(id):
        raise UserError(f"the id of a check is one such as 1.2-5t, got {id[:70]!r}")
    return store.root / "checks" / f"{id}.json"

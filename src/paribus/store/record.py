"""What a run leaves behind, as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Status = Literal["running", "done", "diverged", "failed"]
STATUSES = ("running", "done", "diverged", "failed")
SCHEMA = 1


class RecordError(Exception):
    """A record can't be read: damaged, or of a form that this version does not know."""


@dataclass
class Record:
    """The content of outputs/runs/<id>/record.json.

    metrics: the last value of everything logged, by Lightning's names (test/acc), and `*_best`.
    comparable: what the runs of one table must share unless the table varies it.
    choices: chosen options and values given on the command line: what a table of a sweep can vary.
    evaluated: which checkpoint the test metrics come from, last or best.
    """

    id: str
    status: Status
    ablation: str | None = None
    arm: str | None = None
    seed: int | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    comparable: dict[str, Any] = field(default_factory=dict)
    evaluated: str = "last"
    failure: dict[str, str] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    created: str | None = None
    finished: str | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Strictly valid JSON: numbers that are not finite become the strings nan, inf, -inf."""
        return json.dumps(_encode(asdict(self)), indent=1, allow_nan=False, sort_keys=False)

    @staticmethod
    def from_json(text: str) -> Record:
        """Raises RecordError with the reason."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecordError(f"not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise RecordError(f"a record is an object, got {type(content).__name__}")
        if content.get("schema") != SCHEMA:
            raise RecordError(f"schema {content.get('schema')!r}, this version reads {SCHEMA}")
        known = {each.name for each in fields(Record)}
        if missing := {"id", "status"} - set(content):
            raise RecordError(f"lacks {', '.join(sorted(missing))}")
        if unknown := set(content) - known:
            raise RecordError(f"has unknown fields {', '.join(sorted(unknown))}")
        if content["status"] not in STATUSES:
            raise RecordError(f"status {content['status']!r} is none of {', '.join(STATUSES)}")
        for name in ("metrics", "timing"):
            content[name] = {key: _decode(value) for key, value in content.get(name, {}).items()}
        return Record(**content)


_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _encode(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value

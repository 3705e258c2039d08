"""The record of a run, as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, Metric, Metrics, chance_of, is_declaration
from paribus.store.names import DEPTH, bounded, is_id

Status = Literal["running", "done", "diverged", "failed", "pruned"]
STATUSES = ("running", "done", "diverged", "failed", "pruned")
FINISHED = ("done", "diverged")  # divergence is a result
SCHEMA = 1
# Place of the declared metrics in memory, classes, whether the loss is one of the first cross-entropies.
Declares = tuple[int, int | None, bool]


class RecordError(UserError, ValueError):
    """A record can't be used: damaged, or of a form that this version does not know."""


@dataclass
class Record:
    """The content of outputs/runs/<id>/record.json.

    failure: its `type` (out_of_memory, bug, ...) and `message`, where status is failed; the `study` too, where a search
        has pruned the run, which is then no result.
    choices: what a table of a sweep can vary: chosen options and values given on the command line, flat,
        e.g. {"norm": "batch", "optimizer.lr": 0.1}.
    comparable: what the runs of one table must share unless the table varies it.
    evaluated: which checkpoint the test metrics come from, last or best.
    metrics: the last value of everything logged, by Lightning's names, and `*_best`; test/acc is a fraction.
    declared: what was declared of them, by name (acc): better, unit, chance, and how it is computed where that is not
        the task's. Records of before have none.
    timing: steps, epochs, fit_seconds, ms_per_update, seconds_per_epoch, samples_per_second.
    parameters: number of trained scalars. classes: of the data, which says what guessing scores.
    provenance: commit, dirty, versions, hardware, world_size, and the command that repeats the run.
    created, finished: ISO 8601 in UTC.
    checksums: file within the run's folder -> SHA-256, of what a run that has ended has left there.
    excluded: why the run is invalid (`paribus runs --exclude`); it is in no mean and no comparison then.
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
    declared: dict[str, dict[str, Any]] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    classes: int | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    created: str | None = None
    finished: str | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    excluded: str | None = None
    schema: int = SCHEMA

    def __getattr__(self, name: str) -> Any:
        """A field that a record of the index has not unpacked so far, see `paribus.store.index`."""
        unpack = self.__dict__.pop("_unpack", None)
        if unpack is None:
            raise AttributeError(f"a record has no {name}", name=name, obj=self)
        self.__dict__.update(unpack())
        return getattr(self, name)

    @property
    def has_result(self) -> bool:
        """Whether the run is over and its numbers count."""
        return self.status in FINISHED

    @property
    def known(self) -> Metrics:
        """The metrics that it declares; the first ones of all for a record of before."""
        if not self.declared:
            return FIRST
        if (found := _by_place.get(id(self.declared))) is not None:
            return found
        text = str(self.declared)
        if text not in _known:
            _known[text] = Metrics(Metric(name, **declared) for name, declared in self.declared.items())
        return _known[text]

    @property
    def declares(self) -> Declares:
        """Equal for records that declare the same of every metric."""
        if self.declared:
            return id(self.known), self.classes, False
        return id(FIRST), self.classes, self.choices.get("loss") in _FIRST_CROSS_ENTROPIES

    def declaration(self, metric: str) -> Metric | None:
        """What this record declares of a metric, and what guessing scores in it as a number; None where it declares
        nothing."""
        declares = self.declares
        key = (metric, declares)
        if key not in _declarations:
            _declarations[key] = _declaration(self.known, metric, *declares[1:])
        return _declarations[key]

    def to_json(self) -> str:
        """Strictly valid JSON: numbers that are not finite become the strings "nan", "inf", "-inf"."""
        content = {each.name: _encode(getattr(self, each.name)) for each in fields(self)}
        if self.excluded is None:  # versions of before do not know it
            del content["excluded"]
        return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> Record:
        """The inverse of to_json. Raises RecordError with the reason."""
        try:
            content = json.loads(text)
            if text.count(_OPEN[type(text)][0]) + text.count(_OPEN[type(text)][1]) > DEPTH:  # type: ignore[arg-type]
                bounded(content)
            escape, half = (b"\\", b"\\ud") if isinstance(text, bytes) else ("\\", "\\ud")
            if escape in text and half in text.lower():  # type: ignore[operator]
                json.dumps(content, ensure_ascii=False).encode()  # halves of a pair can't be written again
        except (ValueError, RecursionError) as error:
            raise RecordError(f"not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise RecordError(f"a record must be a JSON object, got {type(content).__name__}")
        if content.get("schema") != SCHEMA:
            raise RecordError(f"a record has schema {SCHEMA} in this version, got {content.get('schema')!r}")
        form = (*content, *map(type, content.values()))
        if form not in _forms:
            _check_form(content)
            _forms.add(form)
        if not is_id(content["id"]):
            raise RecordError(f"an id has 1 to 64 of the characters a-z, 0-9 and -, got {content['id'][:70]!r}")
        if content["status"] not in STATUSES:
            raise RecordError(f"status is one of {', '.join(STATUSES)}, got {content['status']!r}")
        for name in ("metrics", "timing"):
            numbers = content.setdefault(name, {})
            if {*map(type, numbers.values())} - {float}:
                for key, value in numbers.items():
                    if type(value) is not float:
                        numbers[key] = _number(name, key, value)
        if declared := content.get("declared"):
            content["declared"] = shared_declared(declared)
        _check_within(content)
        return Record(**content)


# Records of before named the loss by its option alone.
_FIRST_CROSS_ENTROPIES = ("cross_entropy", "label_smoothing")
# Thousands of records share a handful of declarations. Each is checked once, and kept as long as the process lives.
_shared: dict[str, dict[str, Any]] = {}  # by their text
_known: dict[str, Metrics] = {}  # by their text
_by_place: dict[int, Metrics] = {}  # of those that are shared
_declarations: dict[tuple[str, Declares], Metric | None] = {}


def shared_declared(declared: dict[str, Any]) -> dict[str, Any]:
    """What a record declares, the same object for the same content. Raises RecordError for what can't be declared."""
    text = str(declared)
    if text not in _shared:
        for name, value in declared.items():
            if not isinstance(value, dict) or not is_declaration(value):
                raise RecordError(f"declared.{name} holds better, unit and chance of a metric, got {value!r}")
        _shared[text] = declared
        known = Metrics(Metric(name, **value) for name, value in declared.items())
        _by_place[id(declared)] = _known.setdefault(text, known)
    return _shared[text]


def _declaration(known: Metrics, metric: str, classes: int | None, cross_entropy: bool) -> Metric | None:
    if not known.declares(metric):
        return None
    found = known.of(metric)
    formula = "log(classes)" if found.name == "loss" and cross_entropy else found.chance
    return replace(found, chance=chance_of(formula, classes))


_OPEN: Mapping[type, tuple[str | bytes, str | bytes]] = {str: ("[", "{"), bytes: (b"[", b"{")}
_NONE = type(None)
_FORMS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "status", "evaluated"), (str,)),
    **dict.fromkeys(("ablation", "arm", "created", "finished", "excluded"), (str, _NONE)),
    **dict.fromkeys(("choices", "comparable", "metrics", "declared", "timing", "provenance", "checksums"), (dict,)),
    "failure": (dict, _NONE),
    "seed": (int, _NONE),
    "parameters": (int, _NONE),
    "classes": (int, _NONE),
    "schema": (int,),
}
_forms: set[tuple[Any, ...]] = set()  # names and types of fields that were found right; those of a store are few
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _encode(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _check_form(content: Mapping[str, Any]) -> None:
    """The fields and the types of their values."""
    if missing := {"id", "status"} - set(content):
        raise RecordError(f"a record has {', '.join(sorted(missing))}, which are missing here")
    for name, value in content.items():
        if name not in _FORMS:
            raise RecordError(f"{name!r} is not a field of a record")
        if type(value) not in _FORMS[name]:  # of JSON; a bool is no int
            raise RecordError(f"{name} can't be {value!r}")


def _check_within(content: Mapping[str, Any]) -> None:
    """What others read out of the nested parts of a record."""
    for name, value in (content.get("failure") or {}).items():
        if not isinstance(value, str):
            raise RecordError(f"failure.{name} is text, got {value!r}")
    source = content.get("provenance") or {}
    for name in ("hardware", "versions", "imported"):
        if not isinstance(source.get(name) or {}, dict):
            raise RecordError(f"provenance.{name} holds values by name, got {source[name]!r}")
    if not isinstance(source.get("command") or "", str):
        raise RecordError(f"provenance.command is text, got {source['command']!r}")
    choices = content.get("choices", {})
    numbers = choices if int in map(type, choices.values()) else {}  # most are words
    for name, value in (*[(name, content.get(name)) for name in ("seed", "parameters", "classes")], *numbers.items()):
        if type(value) is int and abs(value) >= 2**63:
            raise RecordError(f"whole numbers have at most 63 bits, got a larger one for {name}")


def _number(name: str, key: str, value: Any) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name} are numbers, got {value!r} for {key}")
    if abs(value) >= 2**63:
        raise RecordError(f"whole numbers have at most 63 bits, got a larger one for {key}")
    return value

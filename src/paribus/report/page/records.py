"""The runs behind the numbers, as the page lists them: by regime and arm, with what each record says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.base.metrics import PERCENT, Key
from paribus.base.redaction import redacted_text
from paribus.evidence.arms import level_text
from paribus.report.escape import plain
from paribus.report.numbers import NONE, scale, short
from paribus.report.study import Study, present
from paribus.store.record import Record

LONGEST = 400  # characters of a message; train.log has the rest


@dataclass
class Listed:
    """Runs of one arm. anchor: its place in the page. what: reporting or tuning."""

    anchor: str
    arm: str
    what: str
    runs: list[Record]
    missing: int

    @property
    def counts(self) -> str:
        states = [run.status for run in self.runs]
        said = [f"{states.count(status)} {status}" for status in dict.fromkeys(sorted(states))]
        return ", ".join([*said, *([f"{self.missing} not trained yet"] if self.missing else [])]) or "no runs"


@dataclass
class Failure:
    """Runs that failed or diverged in one way. example: the message of one of them, and the run."""

    type: str
    runs: list[Record] = field(default_factory=list)
    arms: dict[str, int] = field(default_factory=dict)

    @property
    def message(self) -> str:
        for run in self.runs:
            if run.failure and run.failure.get("message"):
                return cut(str(run.failure["message"]))
        return ""


def anchor(study: int, arm: int) -> str:
    """Where the page lists the runs of an arm."""
    return f"runs-{study}-{arm}"


def listed(number: int, study: Study) -> list[Listed]:
    """The reporting runs of every arm, and its tuning runs below them."""
    found = [
        Listed(anchor(number, k), plain(arm) or "(no name)", "reporting", present(of), len(of) - len(present(of)))
        for k, (arm, of) in enumerate(study.arms.items())
    ]
    found += [
        Listed(f"tuning-{number}-{k}", plain(arm), "tuning", present(of), len(of) - len(present(of)))
        for k, (arm, of) in enumerate(study.tuning.items())
    ]
    return found


def everyone(studies: Sequence[Study]) -> dict[str, tuple[str, Record]]:
    """id -> (arm, record) of all runs, each once: regimes may share some."""
    return {
        record.id: (arm, record)
        for study in studies
        for of in (study.tuning, study.arms)
        for arm, records in of.items()
        for record in present(records)
    }


def failures(studies: Sequence[Study]) -> list[Failure]:
    """By type, the commonest first."""
    found: dict[str, Failure] = {}
    for arm, record in everyone(studies).values():
        if record.status in ("failed", "diverged"):
            kind = "diverged" if record.status == "diverged" else (record.failure or {}).get("type", "unknown")
            entry = found.setdefault(str(kind), Failure(str(kind)))
            entry.runs.append(record)
            entry.arms[plain(arm)] = entry.arms.get(plain(arm), 0) + 1
    return sorted(found.values(), key=lambda each: -len(each.runs))


def details(studies: Sequence[Study]) -> dict[str, Any]:
    """What the page shows of a run that is asked for. What runs share is said once.

    common: the choices that all runs make alike. sources: provenance but the command. runs: id -> the rest.
    """
    runs = everyone(studies)
    choices = [record.choices for _, record in runs.values()]
    common = {
        key: value
        for key, value in (choices[0] if choices else {}).items()
        if all(_has(each, key, value) for each in choices)
    }
    sources: dict[str, int] = {}
    shown = {}
    for id, (arm, record) in runs.items():
        source = {key: value for key, value in record.provenance.items() if key not in ("command", "folder")}
        known = record.known
        number = sources.setdefault(json.dumps(source, sort_keys=True, default=str), len(sources))
        shown[id] = {
            "arm": plain(arm),
            "seed": record.seed,
            "status": record.status,
            "failure": {key: cut(str(value)) for key, value in (record.failure or {}).items()},
            "metrics": {key: value_text(known.key(key), value) for key, value in record.metrics.items()},
            "timing": {key: value_text(known.key(key), value) for key, value in record.timing.items()},
            "choices": {key: plain(level_text(value)) for key, value in record.choices.items() if key not in common},
            "parameters": record.parameters,
            "command": redacted_text(record.provenance.get("command") or ""),
            "source": number,
            "created": record.created,
            "finished": record.finished,
        }
    listed = {key: plain(level_text(value)) for key, value in common.items()}
    return {"common": listed, "sources": [flat(json.loads(text)) for text in sources], "runs": shown}


def flat(source: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested provenance as one level of names."""
    found: dict[str, str] = {}
    for key, value in source.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = "unknown" if value is None else str(value)
    return found


UNITS = {PERCENT: "%"}


def value_text(metric: Key, value: float | None) -> str:
    """In the unit that the table shows; what is not finite has none."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return short(value)
    return short(float(value) * scale(metric)) + ("" if (of := metric.metric.unit) is None else f" {UNITS.get(of, of)}")


def cut(message: str) -> str:
    return message if len(message) <= LONGEST else f"{message[:LONGEST]}…"


def _has(choices: Mapping[str, Any], key: str, value: Any) -> bool:
    return key in choices and choices[key] == value

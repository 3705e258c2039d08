"""The identity of a run: a hash of everything in its config that can change its result.

Two commands that describe the same training get the same id, whatever they call it, wherever they log, and on
whichever machine they run. What is not known to be harmless is part of the identity: a new key changes the id.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from paribus.errors import UserError

# Raise this number when the training code changes what a config means: old records then stay but are not reused.
SEMANTICS = 1

# Labels, places and views. None of these can change a weight or a metric.
_LABELS = {
    "stack",
    "members",
    "hydra",
    "paths",
    "logger",
    "ablation",
    "group",
    "arm",
    "tags",
    "seed",
    "optimized_metric",
}
_DATA_PLACES = {"workers", "resident", "epochs"}  # epochs: a recommendation, already part of the budget
_SOURCE_PLACES = {"root", "path", "download"}
_OBSERVERS = {
    "checkpoints",
    "progress",
    "lr_monitor",
    "grad_monitor",
    "sharpness",
    "noise_scale",
    "gradient_cosine",
    "plateau",
    "snapshots",
}
_TRAINER_SEMANTICS = ("precision", "accumulate", "compile", "channels_last", "deterministic")
BUDGET_UNITS = ("epochs", "updates", "samples", "seconds")


def budget(config: Mapping[str, Any]) -> dict[str, int | float]:
    """The one budget of a run, as {unit: amount}; the data set's recommended epochs where none is given.

    Raises UserError unless exactly one unit holds a positive number.
    """
    given = {unit: config["budget"].get(unit) for unit in BUDGET_UNITS}
    given = {unit: amount for unit, amount in given.items() if amount is not None}
    if not given:
        given = {"epochs": config["data"]["epochs"]}
    if len(given) > 1:
        listed = " and ".join(f"budget.{unit}={amount}" for unit, amount in given.items())
        drop = " ".join(f"budget.{unit}=null" for unit in list(given)[:-1])
        raise UserError(f"A run has exactly one budget, got {listed}. Drop all but one, e.g. {drop}")
    [(unit, amount)] = given.items()
    whole = unit != "seconds"
    right_type = isinstance(amount, int) if whole else isinstance(amount, int | float)
    if isinstance(amount, bool) or not right_type or amount <= 0:
        kind = "a positive whole number" if whole else "a positive number"
        raise UserError(f"budget.{unit} must be {kind}, got {amount!r}. Try budget.{unit}=20")
    return {unit: amount}


def world_size(config: Mapping[str, Any]) -> int:
    """Number of processes that train together: devices x nodes.

    Raises UserError for "auto" or -1: a batch is divided by this number, so it can't depend on the machine.
    """
    counts = []
    for key in ("devices", "num_nodes"):
        value = config["trainer"][key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(
                f"trainer.{key} must be a whole number of at least 1, got {value!r}: the batch is divided by it, "
                f"so it is part of a run. Try trainer.{key}=1"
            )
        counts.append(value)
    return counts[0] * counts[1]


def _without(section: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in names}


def _data(config: Mapping[str, Any]) -> dict[str, Any]:
    data = _without(config["data"], _DATA_PLACES)
    if isinstance(data.get("source"), Mapping):
        data["source"] = _without(data["source"], _SOURCE_PLACES)
    return data


def _evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    # How a set is cut into batches matters only to statistics of the batch.
    cut = set() if config["evaluation"]["statistics"] == "batch" else {"batch_size"}
    return _without(config["evaluation"], cut)


def _callbacks(config: Mapping[str, Any]) -> dict[str, Any]:
    return _without(config.get("callbacks") or {}, _OBSERVERS)


def _trainer(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config["trainer"][key] for key in _TRAINER_SEMANTICS}


# What counts in part or in another form, and how it is made: of the section of its name, and of the one that it reads.
_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "data": _data,
    "budget": budget,
    "evaluation": _evaluation,
    "callbacks": _callbacks,
    "trainer": _trainer,
    "world_size": world_size,
    "semantics": lambda config: SEMANTICS,
}
_READS = {"budget": "data", "world_size": "trainer"}


def semantics(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that can change the result of the run."""
    names = _names(tuple(config), bool(config.get("repetition")))
    return {name: _meaning(name, config) for name in names}


@functools.lru_cache
def _names(sections: tuple[str, ...], repeated: bool) -> list[str]:
    """What counts, in order. repeated: whether there is a repetition but 0, which runs were before the key."""
    return sorted({*sections, *_DERIVED} - (_LABELS if repeated else _LABELS | {"repetition"}))


def _meaning(name: str, config: Mapping[str, Any]) -> Any:
    return _DERIVED[name](config) if name in _DERIVED else config[name]


def run_id(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the canonical JSON of `semantics(config)`.

    Numbers that compare equal hash equally (1 and 1.0), and the order of keys does not matter.
    """
    return Identities()(config)


class Identities:
    """`run_id` of configurations that share sections: the JSON of a section is made once.

    A section is known by its place in memory, so none may change.
    """

    def __init__(self) -> None:
        self._texts: dict[tuple[str, int, int], str] = {}
        self._sections: list[Any] = []  # kept, or others could come to lie in their places

    def __call__(self, config: Mapping[str, Any]) -> str:
        members = []
        for name in _names(tuple(config), bool(config.get("repetition"))):
            own, further = config.get(name), config.get(_READS.get(name, ""))
            key = (name, id(own), id(further))
            if key not in self._texts:
                self._texts[key] = f"{_json(name)}:{_json(_meaning(name, config))}"
                self._sections += [own, further]
            members.append(self._texts[key])
        return hashlib.sha256(f"{{{','.join(members)}}}".encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=True)


def setting_id(config: Mapping[str, Any]) -> str:
    """The id of everything but the seeds: equal for the runs that repeat each other."""
    return run_id({**config, "seeds": None})


_PLAIN = frozenset((str, int, bool, type(None)))  # stand for themselves; most of a config


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): item if type(item) in _PLAIN else _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else _canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config holds plain values only, got {type(value).__name__}: {value!r}")


def comparable(config: Mapping[str, Any], data_fingerprint: str | None = None) -> dict[str, Any]:
    """What the runs of one table must share unless the table varies it."""
    return {
        "semantics": SEMANTICS,
        "budget": " ".join(f"{amount} {unit}" for unit, amount in budget(config).items()),
        "data": data_fingerprint,
        "world_size": world_size(config),
        "evaluated": config["evaluation"]["checkpoint"],
        "precision": config["trainer"]["precision"],
    }

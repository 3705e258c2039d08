"""The identity of a run: a hash of everything in its config that can change its result.

Two commands that describe the same training get the same id, whatever they call it, wherever they log, and on
whichever machine they run. What is not known to be harmless is part of the identity: a new key changes the id. A class
or function counts by its public name (`targets`), so the files of Paribus can move.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import kind
from paribus.base.typed import typed
from paribus.config.measures import arguments
from paribus.config.own import is_own
from paribus.config.parts import freeze_meaning, groups_meaning, init_meaning
from paribus.config.targets import hashed_name, is_observer, known, public_name
from paribus.config.task import LIGHTNING, metrics_of, task_node

# Of everything at once. Raising it orphans all records, so a repair raises the version of its part instead: of a target
# in `targets`, or below.
SEMANTICS = 1


EMA = "paribus.callback.EMA"


@dataclass(frozen=True)
class Repair:
    """A change of what a part of the training means. version: 2 for the first. concerns: the runs that it changes."""

    version: int
    concerns: Callable[[Mapping[str, Any]], bool] = lambda config: True


def _averages(config: Mapping[str, Any]) -> bool:
    nodes = [node for node in (config.get("callbacks") or {}).values() if isinstance(node, Mapping)]
    return any(public_name(node.get("_target_")) == EMA for node in nodes)


def _is_ours(config: Mapping[str, Any]) -> bool:
    return (config.get("task") or {}).get("_target_") != LIGHTNING


def _widens(config: Mapping[str, Any]) -> bool:
    norm = config["norm"].get("activation")
    return isinstance(norm, Mapping) and public_name(norm.get("_target_")) in (
        "paribus.norm.rms",
        "paribus.norm.batch_renorm",
    )


# Parts that no target of `targets` stands for, such as clip or evaluation, by name; version 1 is not listed.
REPAIRS: Mapping[str, Repair] = {
    # Batches were cut into parts of other sizes, and into fewer than asked for where they did not divide.
    "accumulate": Repair(2, lambda config: config["trainer"]["accumulate"] > 1),
    # The average followed storage that training had left.
    "ema": Repair(2, lambda config: config["trainer"]["channels_last"] and _averages(config)),
    # Averages, statistics and updates were lost in rounding or overflowed.
    "true": Repair(2, lambda config: config["trainer"]["precision"] in ("bf16-true", "16-true") and _is_ours(config)),
    # On a CPU it was bf16-mixed. Recorded norms of gradients were scaled.
    "16-mixed": Repair(2, lambda config: config["trainer"]["precision"] == "16-mixed"),
    # RMS norm of maps and batch renorm went on in float32.
    "bf16-mixed": Repair(2, lambda config: config["trainer"]["precision"] == "bf16-mixed" and _widens(config)),
}
# Keys that came after the first records, with the value that means what was done before: there, they count as absent.
ADDED: Mapping[str, Any] = {"repetition": 0, "data.test": None, "lr_scaling.base_width": 64}

# Labels, places and views. None of these can change a weight or a metric.
_LABELS = {
    "vars",  # what they are put into counts
    "stack",
    "members",
    "on_change",
    "hydra",
    "paths",
    "ablation",
    "group",
    "arm",
    "tags",
    "seed",
    "optimized_metric",
    "logger",  # they write down what they are handed
}
_DATA_PLACES = {"workers", "resident", "epochs"}  # epochs: a recommendation, already part of the budget
# Where a run is trained. devices and num_nodes count as their product.
_TRAINER_PLACES = {"accelerator", "devices", "num_nodes", "strategy", "threads", "profiler"}
_ABSENT: Any = object()  # what does not count at all
EARLY_STOPPING = "paribus.callback.EarlyStopping"
PLATEAU = "paribus.scheduler.Plateau"
# What such a callback was before.
_LIGHTNINGS = {
    "_target_": "pytorch_lightning.callbacks.EarlyStopping",
    "check_on_train_epoch_end": True,
    "check_finite": False,
    "verbose": False,
}
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
                f"trainer.{key} must be a whole number of at least 1, got {value!r}: it divides the batch, "
                f"so it is part of the run's identity. Try {typed(f'trainer.{key}', '1')}"
            )
        counts.append(value)
    return counts[0] * counts[1]


def _without(section: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in names}


def _data(config: Mapping[str, Any]) -> Any:
    if is_own(config["data"].get("source")):
        return _ABSENT
    data = _without(config["data"], _DATA_PLACES)
    if isinstance(source := data.get("source"), Mapping) and (row := known(source.get("_target_"))):
        data["source"] = _without(source, set(row.places))
    return data


def _evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    # How a set is cut into batches matters only to statistics of the batch.
    cut = set() if config["evaluation"]["statistics"] == "batch" else {"batch_size"}
    # The direction is written down as it was when users gave it.
    return {**_without(config["evaluation"], cut), "mode": _mode(config, config["evaluation"]["monitor"])}


def _callbacks(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: node for key, node in (config.get("callbacks") or {}).items() if node and not is_observer(node)}
    every = config["evaluation"]["every"]
    return {key: _early_stopping(node, every, config) for key, node in kept.items()}


def _early_stopping(node: Any, every: Any, config: Mapping[str, Any]) -> Any:
    """With a validation in every epoch it does what Lightning's class did before it, and such runs keep their ids."""
    if not isinstance(node, Mapping) or public_name(node.get("_target_")) != EARLY_STOPPING:
        return node
    told = {**node, "mode": _mode(config, node.get("monitor"))}
    return {**told, **_LIGHTNINGS} if every == 1 else told


def _scheduler(config: Mapping[str, Any]) -> Any:
    """With the direction of the metric that it follows. Our plateau followed val/loss before it could be told, and such
    runs keep their ids."""
    node = config.get("scheduler", _ABSENT)
    if not isinstance(node, Mapping) or not isinstance(monitor := node.get("monitor"), str):
        return node
    mode = _mode(config, monitor)
    before = public_name(node.get("_target_")) == PLATEAU and (monitor, mode) == ("val/loss", "min")
    return _without(node, {"monitor"}) if before else {**node, "mode": mode}


def _mode(config: Mapping[str, Any], monitor: Any) -> str:
    """The declared direction of a metric."""
    return metrics_of(config).of(str(monitor)).mode


def _metrics(config: Mapping[str, Any]) -> Any:
    """Those that choose weights, or that a callback or the schedule follows. Others change no result."""
    nodes = [config["evaluation"], config.get("scheduler"), *(config.get("callbacks") or {}).values()]
    followed = {kind(str(node.get("monitor"))) for node in nodes if isinstance(node, Mapping)}
    own = (config.get("task") or {}).get("metrics") or {}
    found = {
        name: arguments(node)
        for name, node in (config.get("metrics") or {}).items()
        if node and name in followed and name not in own
    }
    return found or _ABSENT


def _trainer(config: Mapping[str, Any]) -> dict[str, Any]:
    trainer = _without(config["trainer"], _TRAINER_PLACES)
    flags = {name: value for name, value in (trainer.pop("flags", None) or {}).items() if value is not None}
    return {**trainer, "flags": flags} if flags else trainer


# What counts in part or in another form, and how it is made: of the section of its name, and of the one that it reads.
_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "data": _data,
    "budget": budget,
    "evaluation": _evaluation,
    "callbacks": _callbacks,
    "trainer": _trainer,
    "scheduler": _scheduler,
    "world_size": world_size,
    "metrics": _metrics,
    "task": lambda config: task_node(config) or _ABSENT,
    "init": lambda config: init_meaning(config) or _ABSENT,
    "freeze": lambda config: freeze_meaning(config) or _ABSENT,
    "groups": lambda config: groups_meaning(config) or _ABSENT,
    "semantics": lambda config: SEMANTICS,
    "versions": lambda config: _repairs(config) or _ABSENT,
}
# The sections that others are made of as well.
_READS: Mapping[str, tuple[str, ...]] = {
    "budget": ("data",),
    "evaluation": ("task", "metrics"),
    "callbacks": ("evaluation", "task", "metrics"),
    "metrics": ("evaluation", "callbacks", "scheduler", "task"),
    "scheduler": ("task", "metrics"),
    "world_size": ("trainer",),
}


def semantics(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that can change the result of the run."""
    meaning = {name: _meaning(name, config) for name, _ in _names(tuple(config))}
    return {name: value for name, value in meaning.items() if value is not _ABSENT}


@functools.lru_cache
def _names(sections: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """What may count, in order, each with the sections that it is made of; none where that may be any."""
    names = sorted({*sections, *_DERIVED} - _LABELS)
    return [(name, () if name == "versions" else (name, *_READS.get(name, ()))) for name in names]


def _meaning(name: str, config: Mapping[str, Any]) -> Any:
    value = _DERIVED[name](config) if name in _DERIVED else config[name]
    if is_own(value):
        return _ABSENT
    for key, before in ADDED.items():
        section, _, inner = key.partition(".")
        if section == name and not inner and value == before:
            return _ABSENT
        if section == name and inner and isinstance(value, Mapping) and value.get(inner, _ABSENT) == before:
            value = _without(value, {inner})
    return value


def _repairs(config: Mapping[str, Any]) -> dict[str, int]:
    return {part: repair.version for part, repair in REPAIRS.items() if repair.concerns(config)}


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
        self._texts: dict[tuple[Any, ...], str] = {}
        self._sections: list[Any] = []  # kept, or others could come to lie in their places
        # kin -> its members in order: the texts that they have in common, joined, and what the others are made of
        self._frames: dict[Hashable, list[str | tuple[str, tuple[str, ...]]]] = {}

    def __call__(self, config: Mapping[str, Any], kin: Hashable = None, changed: Collection[str] = ()) -> str:
        """kin: the same for configurations whose sections are the same objects, but for those that are `changed`."""
        if kin is None:
            texts = [self._text(name, read, config) for name, read in _names(tuple(config))]
        else:
            if (frame := self._frames.get(kin)) is None:
                frame = self._frames[kin] = self._frame(config, changed)
            texts = [part if isinstance(part, str) else self._text(*part, config) for part in frame]
        return hashlib.sha256(f"{{{','.join(filter(None, texts))}}}".encode()).hexdigest()[:16]

    def _frame(self, config: Mapping[str, Any], changed: Collection[str]) -> list[str | tuple[str, tuple[str, ...]]]:
        frame: list[str | tuple[str, tuple[str, ...]]] = []
        for name, read in _names(tuple(config)):
            if not read or not {*read}.isdisjoint(changed):
                frame.append((name, read))
            elif text := self._text(name, read, config):
                if frame and isinstance(before := frame[-1], str):
                    frame[-1] = f"{before},{text}"
                else:
                    frame.append(text)
        return frame

    def _text(self, name: str, read: tuple[str, ...], config: Mapping[str, Any]) -> str:
        """A member of the canonical JSON; empty for what is absent. read: the sections that it is made of."""
        if not read:
            return _member(name, config)
        sections = [config.get(each) for each in read]
        key = (name, *map(id, sections))
        if (text := self._texts.get(key)) is None:
            text = self._texts[key] = _member(name, config)
            self._sections += sections
        return text


def _member(name: str, config: Mapping[str, Any]) -> str:
    meaning = _meaning(name, config)
    return "" if meaning is _ABSENT else f"{_json(name)}:{_json(meaning)}"


def _json(value: Any) -> str:
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=True)


def setting_id(config: Mapping[str, Any]) -> str:
    """The id of everything but the seeds: equal for the runs that repeat each other."""
    return run_id({**config, "seeds": None})


_PLAIN = frozenset((str, int, bool, type(None)))  # stand for themselves; most of a config


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {str(key): item if type(item) in _PLAIN else _canonical(item) for key, item in value.items()}
        if isinstance(target := plain.get("_target_"), str):
            plain["_target_"] = hashed_name(target)
        return plain
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else _canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config holds plain values only, got {type(value).__name__}: {value!r}")

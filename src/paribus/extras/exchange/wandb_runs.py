"""Runs of a W&B project, through its public API, as records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, Metrics
from paribus.config.task import metrics_of
from paribus.extras.exchange.adopted import (
    Adopted,
    Adoption,
    Row,
    adopted_id,
    diverged,
    last_values,
    leaves,
    merged,
    plain,
    trained,
    without_repeats,
)
from paribus.store.record import Record

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "nan": math.nan, "inf": math.inf}
# Keys that differ between runs without being a choice.
_PLACES = re.compile(
    r"(^|[._/])(paths?|dirs?|files?|names?|ids?|dates?|time|host|hostname|ckpt|version|tags?)($|[._/])"
)
_STEPS = ("step", "trainer/global_step", "global_step", "_step")
_SECONDS = ("seconds", "_runtime")
_OWN_TIMING = ("steps", "epochs", "samples", "fit_seconds", "update_seconds", "ms_per_update", "seconds_per_epoch")


def adopt_wandb(path: str, wait: float, progress: Callable[[int, int], None] = lambda done, of: None) -> Adoption:
    """All runs of ENTITY/PROJECT.

    wait: seconds to wait for any one answer. progress: is told how many runs of how many are read.

    Raises UserError where the project can't be read; a run that can't is named.
    """
    import wandb

    if not re.fullmatch(r"[^/\s]+/[^/\s]+", path):
        raise UserError(f"a W&B project is written wandb:ENTITY/PROJECT, got wandb:{path}")
    wandb.setup(wandb.Settings(silent=True))
    try:
        api = wandb.Api(timeout=max(1, round(wait)))
        runs = [run for run in api.runs(path, order="+created_at") if not _only_pictures(run)]
    except Exception as error:  # of the network, the service, the key or the project
        raise UserError(
            f"the runs of {path} can't be read ({type(error).__name__}: {error}). Check the name, and WANDB_API_KEY"
        ) from error
    if not runs:
        raise UserError(f"import reads the runs of a W&B project, and {path} has none")
    adoption, found = Adoption(), []
    for number, run in enumerate(runs, start=1):
        origin = f"{path}/{run.id}"
        try:
            settings, summary, rows = dict(run.config), dict(run.summary_metrics), rows_of(history(run))
        except Exception as error:  # of the network or the service: one run is no reason to lose the others
            adoption.notes.append(f"{origin}: not imported ({type(error).__name__}: {error})")
            continue
        found.append((run, origin, settings, summary, rows))
        progress(number, len(runs))
    shown = choices_of([settings for _, _, settings, _, _ in found])
    for (run, origin, settings, summary, rows), choices in zip(found, shown, strict=True):
        adopted = _adopted(run, path, origin, settings, summary, rows, choices)
        if adopted.record.failure:
            adoption.notes.append(f"{origin}: {adopted.record.failure['message']}")
        if adopted.record.seed is None:
            adoption.notes.append(f"{origin}: has no seed: repeats of it can't be paired with other arms")
        adoption.runs.append(adopted)
    return without_repeats(adoption)


def _only_pictures(run: Any) -> bool:
    """Whether it trained nothing: `paribus dashboard` logs its figures by a run."""
    return run.job_type == "figures" and str(run.id).startswith("figures-")


def history(run: Any) -> Iterator[Mapping[str, Any]]:
    """Every row, where W&B has any (run.history() would sample 500 of them)."""
    if run.lastHistoryStep >= 0:
        yield from run.scan_history(use_cache=False)


def rows_of(history: Iterator[Mapping[str, Any]]) -> list[Row]:
    """W&B's rows with our names for epoch, step and seconds, without W&B's own columns."""
    rows = []
    for given in history:
        row = {k: n for k, v in given.items() if not k.startswith("_") and (n := number(v)) is not None}
        for name, sources in (("step", _STEPS), ("seconds", _SECONDS)):
            values = [n for source in sources if (n := number(given.get(source))) is not None]
            if values:
                row[name] = values[0]
        row.pop("trainer/global_step", None)
        rows.append(row)
    return merged(rows)


def number(value: Any) -> float | None:
    """What W&B gives back for a number; None for anything else."""
    if isinstance(value, str):
        return _NOT_FINITE.get(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def choices_of(several: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each run: the choices that Paribus logged, or the values of its settings, flat, in which runs differ, and the
    words at its top level."""
    flat = [{key: plain(value) for key, value in leaves(settings)} for settings in several]
    keys = dict.fromkeys(key for each in flat for key in each)
    shown = [
        key
        for key in keys
        if not _PLACES.search(key)
        and key.rsplit(".", 1)[-1] != "seed"
        and not key.startswith("seeds.")
        and (
            len({repr(each.get(key)) for each in flat}) > 1
            or (isinstance(several[0].get(key), str) and len(several[0][key]) < 40)
        )
    ]
    result = []
    for settings, each in zip(several, flat, strict=True):
        own = settings.get("choices")
        result.append(dict(own) if isinstance(own, Mapping) else {key: each[key] for key in shown if key in each})
    return result


def _summarised(key: str, known: Metrics) -> str:
    """A metric that W&B summarises by its best is {"max": value} or {"best": value}; the worst is not called best."""
    metric, dot, how = key.rpartition(".")
    good = "best" if (declared := known.of(metric)).better is None else declared.mode
    return f"{metric}_best" if dot and how in ("best", good) else key


def _adopted(
    run: Any,
    path: str,
    origin: str,
    settings: dict[str, Any],
    summary: Mapping[str, Any],
    rows: list[Row],
    choices: dict[str, Any],
) -> Adopted:
    known = metrics_of(settings)
    metrics, rows = last_values(rows, known), trained(rows)
    for key, value in leaves(summary):
        if key.startswith("_") or key in _STEPS or key in _SECONDS or key == "epoch":
            continue
        name = _summarised(key, known)
        if (n := number(value)) is not None:
            metrics[name] = n
    timing = {key: metrics.pop(key) for key in (*_OWN_TIMING, "samples_per_second") if key in metrics}
    parameters = metrics.pop("parameters", None)
    seconds = number(summary.get("_runtime"))
    if seconds is not None:
        timing.setdefault("total_seconds", seconds)
    status, failure = _status(str(run.state), str(summary.get("status", "")), metrics)
    record = Record(
        id=adopted_id("wandb", path, run.id),
        status=status,  # type: ignore[arg-type]
        ablation=run.group or path,
        arm=run.job_type or None,
        seed=_seed(settings),
        choices=choices,
        comparable={"semantics": "imported from W&B", "budget": _budget(settings), "data": None},
        failure=failure,
        metrics=metrics,
        declared={name: metric.declared() for name, metric in known.items()} if known is not FIRST else {},
        timing=timing,
        parameters=None if parameters is None else int(parameters),
        provenance={"imported": {"from": "wandb", "run": origin, "name": run.name, "tags": list(run.tags or [])}},
        created=str(run.created_at) if run.created_at else None,
        finished=str(getattr(run, "heartbeat_at", None) or run.created_at or "") or None,
    )
    return Adopted(record, origin, path, settings, rows)


def _status(state: str, own: str, metrics: Mapping[str, float]) -> tuple[str, dict[str, str] | None]:
    """W&B's states are running, finished, crashed, failed, killed, preempted and pending."""
    if own == "diverged" or (state == "finished" and diverged(metrics)):
        return "diverged", None
    if state == "finished" and own != "failed":
        return "done", None
    kind = "unfinished" if state in ("running", "pending", "preempting", "preempted") else "bug"
    return "failed", {"type": kind, "message": f"W&B says that it is {state}"}


def _seed(settings: Mapping[str, Any]) -> int | None:
    flat = dict(leaves(settings))
    named = [value for key, value in flat.items() if key.rsplit(".", 1)[-1] in ("seed", "random_seed", "manual_seed")]
    found = [value for value in (flat.get("seed"), *named) if isinstance(value, int) and not isinstance(value, bool)]
    return found[0] if found else None


def _budget(settings: Mapping[str, Any]) -> str | None:
    flat = dict(leaves(settings))
    for unit in ("epochs", "updates", "samples", "seconds"):
        if isinstance(flat.get(f"budget.{unit}"), int | float):
            return f"{flat[f'budget.{unit}']} {unit}"
    for key in ("trainer.max_epochs", "max_epochs", "epochs", "num_epochs"):
        if isinstance(flat.get(key), int):
            return f"{flat[key]} epochs"
    return None

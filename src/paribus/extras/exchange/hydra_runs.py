"""Jobs of Hydra in the layout of lightning-hydra-template (.hydra/ beside csv or TensorBoard logs), as records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.extras.exchange.adopted import (
    Adopted,
    Adoption,
    Row,
    adopted_id,
    diverged,
    last_values,
    plain,
    trained,
    without_repeats,
)
from paribus.extras.exchange.hydra_logs import NoLogs, complaint, parameters, read_logs, seconds
from paribus.store.names import parse_yaml, read_yaml
from paribus.store.record import Record

# Groups that say where a job logs and what it prints, not what it trains. Shown if the command line names them: a sweep
# over experiments is one.
_SILENT = ("paths", "logger", "extras", "debug", "local", "hydra", "callbacks", "hparams_search", "experiment", "train")
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")  # of a key, without a resolver
_NEVER = ("hydra", "paths", "logger", "extras", "debug", "tags", "task_name", "ckpt_path", "train", "test", "seed")


@dataclass
class _Job:
    """One folder with .hydra: what it was asked for."""

    folder: Path
    origin: str
    sweep: str
    settings: dict[str, Any]
    groups: dict[str, Any]
    overrides: dict[str, str]
    script: str
    notes: list[str] = field(default_factory=list)


def adopt_hydra(root: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> Adoption:
    """All jobs below a folder.

    progress: is told how many jobs of how many are read.

    Raises UserError where there is none.
    """
    if not root.is_dir():
        raise UserError(f"import takes a folder of Hydra's or wandb:ENTITY/PROJECT, got {root}, which is not a folder")
    adoption = Adoption()
    jobs: list[_Job] = []
    folders = {path.parent for path in root.rglob(".hydra") if path.is_dir()}
    for multirun in root.rglob("multirun.yaml"):
        folders |= {path for path in multirun.parent.iterdir() if path.is_dir() and path.name.isdigit()}
    for folder in sorted(folders, key=_natural):
        origin = str(folder.relative_to(root.parent)) if folder != root else root.name
        try:
            for path in (folder / ".hydra").glob("*.yaml"):
                if not path.resolve().is_relative_to(root):
                    raise ValueError(f"{path.name} is a link to a file elsewhere")
            jobs.append(_read(folder, origin, root))
        except (OSError, ValueError) as error:
            adoption.notes.append(f"{origin}: not imported, {_first_line(error)}")
    if not jobs and not adoption.notes:
        raise UserError(
            f"import looks for Hydra's jobs (folders with .hydra/config.yaml), and there is none below {root}. "
            "Give the folder that holds the multiruns, such as logs/train"
        )
    varied: dict[str, dict[str, None]] = {}  # sweep -> keys that some job of it was given
    for job in jobs:
        varied.setdefault(job.sweep, {}).update(dict.fromkeys(job.overrides))
    for sweep, keys in varied.items():
        for job in (job for job in jobs if job.sweep == sweep):
            adoption.runs.append(_adopted(job, list(keys)))
            adoption.notes += [f"{job.origin}: {note}" for note in job.notes]
            progress(len(adoption.runs), len(jobs))
    return without_repeats(adoption)


def _read(folder: Path, origin: str, root: Path) -> _Job:
    settings = _mapping(folder / ".hydra" / "config.yaml")
    try:
        given = read_yaml(folder / ".hydra" / "overrides.yaml") or []
        if not isinstance(given, list):
            raise ValueError("overrides.yaml holds no list")
    except FileNotFoundError:
        given = []
    notes: list[str] = []
    overrides: dict[str, str] = {}
    for text in given:
        key, _, value = str(text).lstrip("+").partition("=")
        key = key.split("@")[0].lstrip("~")
        if key in overrides and overrides[key] != value:
            notes.append(f"{key} was given twice ({overrides[key]} and {value}); Hydra took the last")
        overrides[key] = value
    groups: dict[str, Any] = {}
    script = "train"
    try:
        hydra = _mapping(folder / ".hydra" / "hydra.yaml").get("hydra") or {}
        chosen = hydra.get("runtime", {}).get("choices") or {}
        groups = {k: v for k, v in chosen.items() if isinstance(k, str) and isinstance(v, str)}
        script = str(hydra.get("job", {}).get("name") or script)
    except (OSError, ValueError, AttributeError) as error:
        notes.append(f"the chosen options are unknown ({_first_line(error)}); only the overrides are known")
    parent = folder.parent
    sweep = str(parent.relative_to(root.parent)) if folder != root else root.name
    return _Job(folder, origin, sweep, settings, groups, overrides, script, notes)


def _adopted(job: _Job, varied: Sequence[str]) -> Adopted:
    settings = job.settings
    rows: list[Row] = []
    log: Path | None = None
    problem: str | None = None
    try:
        rows, log = read_logs(job.folder, job.notes)
    except NoLogs as error:
        problem = str(error)
    metrics, rows = last_values(rows), trained(rows)
    seed = _at(settings, "seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or abs(seed) >= 2**63:
        job.notes.append(f"has no seed ({seed!r}), so its repetitions can't be paired with other arms")
        seed = None
    status, failure = _status(job, rows, metrics, problem)
    if failure:
        job.notes.append(f"{status}: {failure['message']}")
    timing = {"steps": rows[-1]["step"], "epochs": rows[-1]["epoch"] + 1} if rows else {}
    if (duration := seconds(job.folder)) is not None:
        timing["total_seconds"] = duration
    record = Record(
        id=adopted_id("hydra", job.folder.parent.name, job.folder.name, _text(job.folder / ".hydra" / "config.yaml")),
        status=status,  # type: ignore[arg-type]
        ablation=job.sweep,
        seed=seed,
        choices=_choices(job, varied),
        comparable=_comparable(settings, job.groups),
        # The template tests the checkpoint that was best on validation, where it keeps checkpoints.
        evaluated="best" if _at(settings, "callbacks.model_checkpoint") else "last",
        failure=failure,
        metrics=metrics,
        timing=timing,
        parameters=parameters(log) if log else None,
        provenance={
            "imported": {"from": "hydra", "job": job.origin, "log": str(log.relative_to(job.folder)) if log else None},
            "command": " ".join([f"python {job.script}.py", *(f"{k}={v}" for k, v in job.overrides.items())]),
        },
        created=_time(job.folder / ".hydra" / "config.yaml"),
        finished=_time(log) if log else None,
    )
    return Adopted(record, job.origin, job.sweep, settings, rows)


def _status(
    job: _Job, rows: Sequence[Any], metrics: Mapping[str, float], problem: str | None
) -> tuple[str, dict[str, str] | None]:
    """done: has test metrics, or reached its last epoch, or ended by itself without a complaint."""
    if error := complaint(job.folder):
        kind = "out_of_memory" if "out of memory" in error.lower() else "bug"
        return "failed", {"type": kind, "message": error}
    if problem:
        return "failed", {"type": "unfinished", "message": problem}
    if diverged(metrics):
        return "diverged", None
    epochs = _at(job.settings, "trainer.max_epochs")
    reached = isinstance(epochs, int) and rows and rows[-1]["epoch"] + 1 >= epochs
    if reached or any(key.startswith("test/") for key in metrics) or (job.folder / "exec_time.log").exists():
        return "done", None
    return "failed", {
        "type": "unfinished",
        "message": f"ended after epoch {rows[-1]['epoch']:g} of {epochs}" if rows else "no metrics",
    }


def _choices(job: _Job, varied: Sequence[str]) -> dict[str, Any]:
    """Options of groups, and the values of all keys that some job of the sweep was given, also where this one has the
    default."""
    choices = {
        group: option
        for group, option in job.groups.items()
        if group.split("/")[0] not in _SILENT or (group in varied and group.split("/")[0] not in _NEVER)
    }
    for key in varied:
        if key in job.groups or key.split(".")[0] in _NEVER or key.startswith("callbacks."):
            continue
        value = _at(job.settings, key)
        if value is None and key in job.overrides:
            value = _plain_value(job.overrides[key])
        if isinstance(value, Mapping):  # a group whose options are not known
            value = job.overrides.get(key)
        if value is not None or key in job.overrides:
            choices[key] = plain(value)
    return choices


def _comparable(settings: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("max_epochs", "max_steps", "devices", "num_nodes", "precision")
    trainer = {key: value for key in keys if (value := _at(settings, f"trainer.{key}")) is not None}
    budgets = {"max_epochs": "epochs", "max_steps": "updates"}
    found = [
        f"{trainer[k]} {unit}" for k, unit in budgets.items() if isinstance(trainer.get(k), int) and trainer[k] > 0
    ]
    counts = [trainer.get(key, 1) for key in ("devices", "num_nodes")]
    whole = [count for count in counts if isinstance(count, int) and count > 0]
    return {
        "semantics": "imported from hydra",
        "budget": ", ".join(found) or None,
        "data": groups.get("data") or _at(settings, "data._target_"),
        "world_size": whole[0] * whole[1] if len(whole) == 2 else str(counts[0]),
        "precision": str(trainer.get("precision", 32)),
    }


def _mapping(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no mapping")
    return content


def _at(settings: Mapping[str, Any], key: str, hops: int = 5) -> Any:
    """A value by its dotted key. Interpolations stay text, but for a value that is wholly that of another key: no other
    kind can be told from one that asks this machine for something."""
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    if isinstance(node, str) and hops and (reference := _REFERENCE.fullmatch(node)):
        found = _at(settings, reference[1], hops - 1)
        return node if isinstance(found, Mapping | list) or found is None else found
    return node


def _plain_value(text: str) -> Any:
    """The value of an override, its text where that is no YAML."""
    try:
        return parse_yaml(text) if text else None
    except ValueError:
        return text


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]


def _time(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _first_line(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return f"it has no {Path(error.filename).name}"
    return " ".join(str(error).split())[:200]

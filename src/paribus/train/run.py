"""The training entry: a config in, a record out. Trains nothing that has a record, goes on where a killed run stood."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from paribus.base.plain_yaml import DUMPER
from paribus.config.identity import comparable, run_id, world_size
from paribus.config.run import Run
from paribus.errors import Interrupted, StorageFailed, UserError, is_storage
from paribus.imports import postpone
from paribus.memory import uncollected
from paribus.plan.chosen import chosen
from paribus.plan.inputs import Inputs
from paribus.plan.metrics import is_percent
from paribus.plan.wandb_limits import check_run
from paribus.redaction import redacted, redacted_text
from paribus.store.atomic import write_atomically
from paribus.store.checksums import checksums
from paribus.store.provenance import project_state, provenance
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.terminal import say
from paribus.train.reuse import usable

log = logging.getLogger("paribus")
HANDOVER = 60  # seconds; clusters kill 90 s after their signal


Ranks = Callable[[Mapping[str, Any], Record, Store], Record]  # trains a run in several processes


def train(
    config: Mapping[str, Any],
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    ranks: Ranks | None = None,
    *,
    checked: bool = False,
) -> Record:
    """The record of the run that `config` describes, which is trained unless it is done.

    config: resolved. choices: the option chosen of each config group, as Hydra knows them.
    overrides: the command line, for the record. ranks: starts the processes of a run that has several.
    checked: the configuration has come through preflight already.

    Raises UserError for a configuration that can't work, before anything is written; Busy where another process trains
    this run; Interrupted when the user stops it; the exception itself for a bug, after the record says so.
    """
    postpone()  # all ways to Lightning go through here
    if isinstance(config["members"], str) and config["members"]:
        from paribus.train.stack import train_stack

        return train_stack(config)
    Run.parse(config)
    store = Store(Path(config["paths"]["outputs"]))
    id = run_id(config)
    check_run(id, config)
    with store.lock(id):
        if (record := already(config, store, id)) is not None:
            say(f"{id} is {record.status} already: {summary(record)}  ({store.run_dir(id)})")
            return record
        record = new_record(config, choices, overrides)
        if world_size(config) == 1:
            return execute(config, record, store, checked=checked)
        from paribus.launch.ranks import run_ranks
        from paribus.train.preflight import Preflight
        from paribus.train.restart import usable_checkpoint

        Preflight().check(config)  # a mistake is said once, not by each rank
        usable_checkpoint(store.run_dir(id))  # puts a damaged one aside before several processes look at it
        try:
            return (ranks or run_ranks)(config, record, store)
        except RuntimeError as error:
            # A rank that fails ends the others, and rank 0 may not have been able to write.
            if (written := store.read(id)) is None or written.status == "running":
                store.write(failed(record, failure_type(error), str(error)))
            raise


def already(config: Mapping[str, Any], store: Store, id: str) -> Record | None:
    """The record of a run that is finished. One whose files were changed since counts as not trained: what is damaged,
    and what would go on from it, is put aside.

    Raises UserError where what it was trained with has changed, and on_change is stop.
    """
    record = store.read(id)
    if record is None:
        return None
    kept, remark = usable(record, config, store)
    if remark:
        say(f"{id}: {remark}")
    if not kept or not record.has_result:
        return None
    if not (damaged := store.damage(record)):
        return record
    say(f"{id} is {record.status}, but its {' and '.join(damaged)} is not what was recorded: it is trained again")
    if "history.csv" in damaged:
        store.put_aside(id, ["history.csv", "checkpoints/last.ckpt"])
    return None


def new_record(config: Mapping[str, Any], choices: Mapping[str, Any], overrides: Sequence[str]) -> Record:
    """The record of a run that begins."""
    inputs = Inputs(Path(config["paths"]["outputs"]))(config)
    source = provenance(command=redacted_text(repeating(overrides)), world_size=world_size(config))
    if any(label.startswith("code ") for label in inputs):
        source["project"] = project_state(Path.cwd())
    return Record(
        id=run_id(config),
        status="running",
        ablation=redacted(config["group"]),
        arm=redacted(config["arm"]),
        seed=config["seed"],
        choices=redacted(chosen(config, choices, overrides)),
        evaluated=config["evaluation"]["checkpoint"],
        comparable=comparable(config),
        provenance={**source, "inputs": inputs},
        created=now(),
    )


def named(error: Exception) -> str:
    """The message of a failure; the name of an exception says nothing where the message was written for people."""
    return str(error) if isinstance(error, UserError | StorageFailed) else f"{type(error).__name__}: {error}"


def failed(record: Record, type: str, message: str) -> Record:
    """The record, of a run that failed now."""
    return replace(record, status="failed", failure={"type": type, "message": message}, finished=now())


def execute(config: Mapping[str, Any], record: Record, store: Store, *, checked: bool = False) -> Record:
    """Build, train, test, and record. One process of a run; rank 0 writes."""
    # torch and Lightning are imported here: whatever could be said without them has been said.
    with uncollected():
        from paribus.train import build
        from paribus.train.fit import fit
        from paribus.train.preflight import Preflight

    main = int(os.environ.get("LOCAL_RANK", "0")) == 0
    setting = build.build_setting(config)
    data = build.build_data(config, setting)
    if not checked:
        Preflight().check_built(config, setting, data)
    record.comparable = comparable(config, data.splits.fingerprint)
    record.classes = setting.source.num_classes
    folder = store.run_dir(record.id)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if main:
        write_config(folder, config)
        store.write(record)
    started = time.perf_counter()
    with log_file(folder / "train.log"):
        try:
            outcome = fit(config, setting, data, record, folder)
            record.checksums = checksums(folder) if main else {}
        except (Interrupted, KeyboardInterrupt):
            raise
        except UserError:
            if new and main:
                shutil.rmtree(folder)  # a run that can't start leaves nothing
            raise
        except Exception as error:
            log.error("%s", error if is_storage(error) else traceback.format_exc())
            if main:
                with suppress(OSError):  # a full disk takes no record: the run counts as not trained
                    store.write(failed(record, failure_type(error), named(error)))
            raise
    record.status = "diverged" if outcome.diverged else "done"
    record.metrics = outcome.metrics
    record.timing = {**outcome.timing, "total_seconds": time.perf_counter() - started}
    record.parameters = outcome.parameters
    record.provenance.setdefault("hardware", {}).update(device=outcome.device, threads=outcome.threads)
    record.provenance["segments"] = outcome.segments
    record.finished = now()
    if main:
        store.write(record)
        say(f"{record.id} {record.status}: {summary(record)}  ({folder})")
    return record


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    text = yaml.dump(redacted(config), Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", text, "any")


def failure_type(error: BaseException) -> str:
    """out_of_memory, timeout, storage (a full or read-only disk), or bug for what has no better name."""
    if type(error).__name__ == "UncompletedJobError":  # submitit's, raised where a run is when a job's last time is up
        return "timeout"
    text = f"{type(error).__name__} {error}".lower()
    signs = ("outofmemory", "out of memory", "memoryerror", "can't allocate memory")
    if any(sign in text for sign in signs):
        return "out_of_memory"
    return "storage" if is_storage(error) else "bug"


def repeating(overrides: Sequence[str]) -> str:
    """The command that repeats this run: labels are left out."""
    from paribus.cli.train import command_line

    return command_line([item for item in overrides if not item.startswith(("group=", "arm="))])


def summary(record: Record) -> str:
    """The metrics that a person asks for first, in one line."""
    shown = []
    for key in ("test/acc", "val/acc", "test/loss", "train/loss"):
        value = record.metrics.get(key)
        if value is not None:
            shown.append(f"{key} {value * 100:.2f} %" if is_percent(key) else f"{key} {value:.4g}")
    return ", ".join(shown[:3]) or "no metrics"


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class RunLog(logging.FileHandler):
    """The log of a run; a full disk cuts it off, and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Writes the log of this run to its folder, and warnings to the terminal as well."""
    handler = RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    names = ("paribus", "pytorch_lightning")
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


@contextmanager
def graceful_stop(request: Any) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls request(), which stops at the next safe point; another Ctrl-C stops at once.

    Further SIGTERMs change nothing: a cluster sends one to every process, and the one that started this one another.

    A cluster's signal that the time of a job is nearly up (SIGUSR1 or SIGUSR2, where somebody handles it) is a request
    as well. Its handler, which ends the job and asks for another, is called when the run has stopped and saved; after
    HANDOVER seconds in any case.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal that is ignored stays ignored: the parent of this process speaks for it (as under nohup).
    signals = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    signals += [number for number in (signal.SIGUSR1, signal.SIGUSR2) if callable(signal.getsignal(number))]
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in signals}
    handed_over: list[int] = []

    def hand_over(*_: Any) -> None:
        while handed_over:
            late = handed_over.pop()
            previous[late](late, None)

    def handle(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            say("\nstopping after this step; the run can go on later. Once more to stop at once")
        elif number != signal.SIGTERM and not handed_over:
            handed_over.append(number)
            previous.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, hand_over))
            signal.alarm(HANDOVER)
        request()

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        if handed_over:
            signal.alarm(0)
        for kept, handler in previous.items():
            signal.signal(kept, handler)
        hand_over()

"""The training entry: a run in, a record out. It trains no run that has a record, and resumes a killed run."""

from __future__ import annotations

import functools
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paribus.base.errors import Interrupted, RankFailed, StandsStill, UserError, is_storage
from paribus.base.extras import offered
from paribus.base.memory import uncollected
from paribus.base.processes import by_itself, is_first
from paribus.base.redaction import redacted_text
from paribus.base.terminal import say
from paribus.config.run import Run
from paribus.run.bookkeeping import (
    already,
    declared,
    failed,
    failure_type,
    named,
    new_record,
    now,
    summary,
    used_versions,
    write_config,
)
from paribus.run.drivers import driver_of
from paribus.run.foreign import mark_trained
from paribus.run.log import log_file
from paribus.store.checksums import checksums
from paribus.store.record import Record
from paribus.store.store import Store

log = logging.getLogger("paribus")

Fit = Callable[..., Any]  # (record, folder) -> Outcome
Ranks = Callable[[Run, Record, Store], Record]  # trains a run in several processes


def train(
    run: Run,
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    ranks: Ranks | None = None,
    *,
    checked: bool = False,
) -> Record:
    """The record of a run, which is trained unless it is done.

    choices: the option chosen of each config group, as Hydra knows them.
    overrides: the command line, for the record. ranks: starts the processes of a run that has several, and waits for
    them; whoever trains runs of one process only needs none.
    checked: the configuration has come through preflight already.

    Raises UserError for a configuration that can't work, before anything is written; Busy where another process trains
    this run; Interrupted when the user stops it; the exception itself for a bug, after the record says so.
    """
    if run.members is not None:
        raise UserError(
            f"members={run.members} lists the runs of a stack, but this command trains a single run. Leave it out"
        )
    if run.processes > 1 and ranks is None:
        raise UserError(
            f"a run of {run.processes} processes can't be trained within this process. Use `paribus train`, or one "
            "device (trainer.devices=1)"
        )
    store = Store(Path(run.paths.outputs))
    id = run.id
    for check in offered("check_run"):
        check(id, run, run.group, run.arm)
    with store.lock(id):
        if (record := already(run, store, id)) is not None:
            say(f"{id} is {record.status} already: {summary(record)}  ({store.run_dir(id)})")
            return record
        record = new_record(run, choices, overrides)
        if ranks is None or run.processes == 1:
            with by_itself():
                return execute(run, record, store, checked=checked)
        from paribus.run.preflight import Preflight
        from paribus.run.restart import usable_checkpoint

        Preflight().check(run)  # a mistake is said once, not by each rank
        usable_checkpoint(store.run_dir(id))  # puts a damaged one aside before several processes look at it
        try:
            return ranks(run, record, store)
        except RankFailed as error:  # rank 0 could not write it, or knows only that another was gone
            with suppress(OSError):
                store.write(failed(record, error.kind, str(error), run))
            raise


def _fit(run: Run, record: Record, checked: bool) -> Fit:
    """What trains a run: its parts are built and, unless they were before, checked."""
    # torch and Lightning are imported here: whatever could be said without them has been said.
    with uncollected():
        from paribus.run import build
        from paribus.run.fit import fit
        from paribus.run.preflight import Preflight

    if (driver := driver_of(run)) is not None:
        if not checked and run.processes == 1:  # of several processes `train` has done so before it started them
            driver.check(run)
        record.comparable = run.comparable()
        return driver.fit(run)
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    if not checked:
        Preflight().check_built(run, setting, data)
    record.comparable = run.comparable(data.splits.fingerprint)
    record.classes = setting.form.num_classes
    return functools.partial(fit, run, setting, data)


def execute(run: Run, record: Record, store: Store, *, checked: bool = False) -> Record:
    """Build, train, test, and record. One process of a run; rank 0 writes."""
    main = is_first()
    fit = _fit(run, record, checked)
    folder = store.run_dir(record.id)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if main:
        write_config(folder, run)
        mark_trained(record, folder)
        store.write(record)
    started = time.perf_counter()
    with log_file(folder / "train.log"):
        try:
            outcome = fit(record, folder)
            record.checksums = checksums(folder) if main else {}
        except (Interrupted, KeyboardInterrupt):
            raise
        except StandsStill as error:
            if main:
                store.write(failed(record, failure_type(error), str(error), run))
            raise
        except UserError:
            if new and main:
                shutil.rmtree(folder)  # a run that can't start leaves nothing
            raise
        except Exception as error:
            log.error("%s", redacted_text(str(error) if is_storage(error) else traceback.format_exc(), run.resolved))
            if main:
                with suppress(OSError):  # a full disk takes no record: the run counts as not trained
                    store.write(failed(record, failure_type(error), named(error), run))
            raise
    record.status = "pruned" if outcome.pruned else "diverged" if outcome.diverged else "done"
    record.failure = {"type": "pruned", **outcome.pruned} if outcome.pruned else None
    record.metrics, record.declared = outcome.metrics, declared(run, outcome.chance)
    record.timing = {**outcome.timing, "total_seconds": time.perf_counter() - started}
    record.parameters = outcome.parameters
    record.provenance.setdefault("hardware", {}).update(device=outcome.device, threads=outcome.threads)
    record.provenance["segments"] = outcome.segments
    record.provenance.setdefault("versions", {}).update(used_versions(run, record))
    record.finished = now()
    if main:
        store.write(record)
        say(f"{record.id} {record.status}: {summary(record)}  ({folder})")
    return record

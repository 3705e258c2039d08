"""The task of one process of the local launcher: train a run and report its result. Forked with torch imported."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paribus.base.errors import RankFailed, UserError, is_storage
from paribus.base.redaction import redacted_text
from paribus.base.terminal import say
from paribus.config.measures import Measures
from paribus.config.nodes import targets
from paribus.config.run import Run
from paribus.config.sections import Data
from paribus.run.later import Later, add_metrics
from paribus.store.lock import Busy
from paribus.sweep.fork import ForkServer
from paribus.sweep.result import Result, short

PROGRESS_SECONDS = 3.0


def train_job(
    run: Run,
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    threads: int,
    checked: bool,
    *,
    server: ForkServer,
) -> Result:
    """Train one run with this number of CPU threads for each of its processes.

    checked: a run that differs in nothing but its seeds has come through preflight.
    """
    import torch

    from paribus.run.bookkeeping import failure_type
    from paribus.sweep.dispatch import dispatch
    from paribus.sweep.libraries import imported_since

    known = set(sys.modules)
    torch.set_num_threads(threads)
    try:
        record = dispatch(run, choices, overrides, server=server, threads=threads, checked=checked)
    except Busy:
        return Result("busy")
    except UserError as error:
        return Result("invalid", message=str(error))
    except Exception as error:
        if is_storage(error):  # nobody's code is to blame
            return Result("storage", message=str(error))
        if isinstance(error, RankFailed):
            return Result(error.kind, message=str(error), traceback=error.trace)
        say(redacted_text(traceback.format_exc(), run.resolved))
        return Result(failure_type(error), message=f"{type(error).__name__}: {error}", traceback=short(error))
    if run.members is not None and not record.has_result:  # left to others, or to jobs of their own
        return Result("left", message=(record.failure or {}).get("message", ""))
    found = imported_since(known)
    return Result(getattr(record, "status", "done"), getattr(record, "metrics", {}), imported=found)


def check_settings(runs: Mapping[str, Run], *, server: ForkServer) -> dict[str, str]:
    """Preflight of configurations: why each can't work, or nothing where it can."""
    from paribus.run.preflight import Preflight

    check, shown, reasons = Preflight(), time.monotonic(), {}
    for number, (name, run) in enumerate(runs.items()):
        try:
            check.check(run)
            reasons[name] = ""
        except UserError as error:
            reasons[name] = str(error)
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            say(f"checked {number + 1} of {len(runs)} configurations")
    return reasons


def fingerprints(runs: Mapping[str, Run], *, server: ForkServer) -> dict[str, str]:
    """The fingerprint of the data of each configuration; empty where they can't be loaded."""
    from paribus.run import build

    found = {}
    for name, run in runs.items():
        try:
            found[name] = build.build_data(run, build.build_setting(run)).splits.fingerprint
        except UserError:
            found[name] = ""
    return found


def add_metrics_to(asked: Mapping[str, Measures], root: Path, *, server: ForkServer) -> Later:
    """Evaluate finished runs again, for metrics that their records lack."""
    return add_metrics(asked, root)


def targets_of(run: Run) -> Iterator[str]:
    """The classes and functions that a run names, of torch and our own: their imports start no thread."""
    return (name for name in targets(run.resolved) if name.startswith(("paribus.", "torch.")))


def prepare(data: Data, names: Iterable[str]) -> None:
    """Called in the fork server: the jobs then share the samples, page for page, and find their classes imported."""
    from paribus.run.build import keep_splits
    from paribus.run.instantiate import look_up

    look_up(names)
    keep_splits(data)


def count_gpus(*, server: ForkServer) -> int:
    """The GPUs that torch sees, asked in a process of its own: the one that asks could not fork afterwards."""
    import torch

    return torch.cuda.device_count()

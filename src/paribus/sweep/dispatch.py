"""One command line, trained wherever it is composed: a run in this process, a run of several, or a stack of runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paribus.base.processes import by_itself
from paribus.config.run import Run
from paribus.run.execute import train
from paribus.store.record import Record
from paribus.sweep.fork import ForkServer
from paribus.sweep.grouping import grouping
from paribus.sweep.ranks import run_ranks


def dispatch(
    run: Run,
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    server: ForkServer | None = None,
    threads: int | None = None,
    checked: bool = False,
) -> Record:
    """The record of a run, or of the first run of the stack that `members` lists.

    server, threads: of the ranks, see `run_ranks`. checked: the configuration has come through preflight already.

    Raises what `train` and `Grouping.train` raise.
    """
    if run.members is not None:
        with by_itself():
            return grouping().train(run, Path(run.members))
    ranks = functools.partial(run_ranks, server=server, threads=threads)
    return train(run, choices, overrides, ranks, checked=checked)

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
from paribus.sweep.meeting import Node
from paribus.sweep.nodes import train_on_nodes
from paribus.sweep.ranks import check_one_machine, run_ranks


def dispatch(
    run: Run,
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    server: ForkServer | None = None,
    threads: int | None = None,
    checked: bool = False,
    node: Node | None = None,
) -> Record:
    """The record of a run, or of the first run of the stack that `members` lists.

    server, threads: of the ranks, see `run_ranks`. checked: the configuration has come through preflight already.

    node: this machine, among several that are given this command line.

    Raises what `train` and `Grouping.train` raise.
    """
    if run.members is not None:
        with by_itself():
            return grouping().train(run, Path(run.members))
    if node is not None:
        return train_on_nodes(run, choices, overrides, node, server=server, threads=threads, checked=checked)
    check_one_machine(run)
    ranks = functools.partial(run_ranks, server=server, threads=threads)
    return train(run, choices, overrides, ranks, checked=checked)

"""A run of several processes: fresh ones in run mode, never a re-execution of the command that started them.

Lightning's own launcher runs sys.argv again in every rank. Under a sweep that is a whole sweep for each rank, and the
process group of one job survives into the next, which then trains on half of its data without a word
(hydra#2070, Lightning#11300). Here each rank is forked by the fork server and is told one thing: the run.

The ranks of one run may be forked by several nodes (`paribus.sweep.nodes`); each forks its own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from paribus.base.errors import Interrupted, RankFailed, UserError
from paribus.base.processes import scrubbed
from paribus.base.redaction import redacted_text
from paribus.base.signals import graceful_stop
from paribus.base.terminal import say
from paribus.config.compose import explain, is_complaint
from paribus.config.run import Run
from paribus.run.bookkeeping import failure_type, named
from paribus.run.execute import execute
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.fork import ForkServer
from paribus.sweep.rank import Rank, cause, without_a_word
from paribus.sweep.result import Result, short
from paribus.sweep.slots import cores

GRACE = 10.0  # seconds for the other ranks to end by themselves when one has failed
TICK = 0.2


class Place(Protocol):
    """Where some ranks of a run are: this machine, or another one."""

    @property
    def ranks(self) -> Sequence[int]: ...

    def ended(self, seconds: float) -> list[Rank]:
        """The ranks that have ended since; waits for the first for at most so many seconds."""
        ...

    def stop(self) -> None:
        """Ask all ranks to save and stop."""
        ...

    def kill(self, rank: int) -> None: ...


@dataclass(frozen=True)
class Here:
    """Ranks that this process has ordered from its fork server. keys: the server's name of a process -> its rank."""

    server: ForkServer
    keys: Mapping[int, int]

    @property
    def ranks(self) -> Sequence[int]:
        return list(self.keys.values())

    def ended(self, seconds: float) -> list[Rank]:
        found = []
        for each in self.server.ended(seconds):
            rank = self.keys[each.key]
            if each.result is None:
                found.append(without_a_word(rank, each.code))
            else:
                result, at = each.result
                found.append(Rank(rank, each.code, result, at))
        return found

    def stop(self) -> None:
        for key in self.keys:
            self.server.stop(key)

    def kill(self, rank: int) -> None:
        for key, its in self.keys.items():
            if its == rank:
                self.server.kill(key)


def run_ranks(
    run: Run,
    record: Record,
    store: Store,
    *,
    server: ForkServer | None = None,
    threads: int | None = None,
) -> Record:
    """Start all ranks of a run on this machine, wait for them, and return the record that rank 0 wrote.

    server: where this process gets its ranks from; None starts a server for them.
    threads: CPU threads of a rank; None shares all cores.

    Ctrl-C or SIGTERM asks all ranks to save and stop; a second Ctrl-C kills them.

    Raises UserError or RankFailed with kind and reason of the rank that failed by itself; the others are ended then.
    """
    check_one_machine(run)
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    stop = threading.Event()
    with graceful_stop(stop.set), ranks_here(run, record, store, 0, group, server, threads) as here:
        ended = wait_for_all([here], stop)
    return concluded(run, store, record.id, ended)


def check_one_machine(run: Run) -> None:
    """Raises UserError for a run of several machines, which no command can start from one of them."""
    if run.trainer.num_nodes > 1:
        raise UserError(
            f"a run of trainer.num_nodes={run.trainer.num_nodes} is started on each of its machines: by hydra/launcher="
            f"submitit_slurm in a sweep (-m), or by hand with `paribus node --rank N --of {run.trainer.num_nodes}`"
        )


@contextmanager
def ranks_here(
    run: Run,
    record: Record,
    store: Store,
    node: int,
    group: Mapping[str, str],
    server: ForkServer | None,
    threads: int | None,
) -> Iterator[Here]:
    """Fork the ranks of one node. They end with the context where the server is its own.

    group: variables by which the ranks of all nodes find each other. Rank 0 prints where this process does, the others
    into files beside the record.
    """
    own = server is None
    server = server or ForkServer.start()
    folder = store.run_dir(record.id)
    folder.mkdir(parents=True, exist_ok=True)
    devices = run.trainer.devices
    environment = {
        **scrubbed(os.environ),
        **group,
        "WORLD_SIZE": str(run.processes),
        "NODE_RANK": str(node),
    }
    threads = threads or max(1, cores() // devices)
    try:
        keys = {}
        for local in range(devices):
            rank = node * devices + local
            key = server.fork(
                rank_of_run,
                (run, record, store.root, threads),
                {**environment, "LOCAL_RANK": str(local), "RANK": str(rank)},
                output=str(errors_of(folder, rank)) if rank else server.output,
            )
            keys[key] = rank
        yield Here(server, keys)
    finally:
        if own:
            server.close()


def errors_of(folder: Path, rank: int) -> Path:
    """What a rank prints, while it runs and where it fails."""
    return folder / f"rank{rank}.err"


def concluded(run: Run, store: Store, id: str, ended: Sequence[Rank]) -> Record:
    """The record of a run whose ranks have ended; raises what `run_ranks` raises where they have not finished it."""
    folder, size = store.run_dir(id), run.processes
    if (failure := cause(ended)) is not None:
        where = "" if failure.rank == 0 else f" ({errors_of(folder, failure.rank)})"
        if failure.result.kind == "invalid":
            raise UserError(f"rank {failure.rank}: {failure.result.message}")
        raise RankFailed(
            f"rank {failure.rank} of {size}: {failure.result.message}{where}",
            failure.result.kind,
            failure.result.traceback,
        )
    if any(each.code for each in ended):
        raise Interrupted("stopped; the same command resumes this run")
    for rank in range(1, size):
        errors_of(folder, rank).unlink(missing_ok=True)
    finished = store.read(id)
    assert finished is not None, "rank 0 writes the record"
    return finished


def rank_of_run(run: Run, record: Record, root: Path, threads: int, *, server: ForkServer) -> tuple[Result, float]:
    """One rank, in its own process: what became of it, and when."""
    import torch

    torch.set_num_threads(threads)
    try:
        execute(run, record, Store(root))
        return Result("done"), time.monotonic()
    except Interrupted as stop:
        say(str(stop))
        raise
    except UserError as error:
        return Result("invalid", message=str(error)), time.monotonic()
    except Exception as error:
        at = time.monotonic()
        if is_complaint(error):
            return Result("invalid", message=explain(error)), at
        say(redacted_text(traceback.format_exc(), run.resolved))
        reason = redacted_text(named(error), run.resolved)
        return Result(failure_type(error), message=reason, traceback=short(error)), at


def wait_for_all(places: Sequence[Place], stop: threading.Event) -> list[Rank]:
    """The ranks, in the order of ending; when one fails, the others get ten seconds to end by themselves.

    stop: set when the ranks should save and stop. Raises Interrupted on KeyboardInterrupt: the ranks are killed then.
    """
    found: dict[int, Rank] = {}
    killed: set[int] = set()
    deadline = None
    told = False

    def kill() -> None:
        for place in places:
            for rank in place.ranks:
                if rank not in found:
                    killed.add(rank)
                    place.kill(rank)

    while len(found) < sum(len(place.ranks) for place in places):
        try:
            for number, place in enumerate(places):
                for ended in place.ended(0.0 if number else TICK):
                    found[ended.rank] = replace(ended, ours=ended.rank in killed)
        except KeyboardInterrupt as error:
            kill()
            raise Interrupted("stopped at once; the same command resumes from the last checkpoint") from error
        if stop.is_set() and not told:
            told = True
            for place in places:
                place.stop()
        if deadline is None and any(each.result.kind != "done" for each in found.values()):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            kill()
            deadline = time.monotonic() + GRACE
    return list(found.values())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])

"""A run of several processes: fresh ones in run mode, never a re-execution of the command that started them.

Lightning's own launcher runs sys.argv again in every rank. Under a sweep that is a whole sweep for each rank, and the
process group of one job survives into the next, which then trains on half of its data without a word
(hydra#2070, Lightning#11300). Here each rank is forked by the fork server and is told one thing: the run.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from paribus.sweep.result import Result, death, short
from paribus.sweep.slots import cores

GRACE = 10.0  # seconds for the other ranks to end by themselves when one has failed


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
    if run.trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={run.trainer.num_nodes}: runs across several machines are not supported. "
            "Use trainer.num_nodes=1"
        )
    own = server is None
    server = server or ForkServer.start()
    folder = store.run_dir(record.id)
    folder.mkdir(parents=True, exist_ok=True)
    size = run.processes
    environment = {
        **scrubbed(os.environ),
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size), "NODE_RANK": "0"},
    }
    threads = threads or max(1, cores() // size)
    errors = [folder / f"rank{rank}.err" for rank in range(size)]
    stop = threading.Event()
    try:
        with graceful_stop(stop.set):
            keys = {
                server.fork(
                    rank_of_run,
                    (run, record, store.root, threads),
                    {**environment, "LOCAL_RANK": str(rank), "RANK": str(rank)},
                    output=str(errors[rank]) if rank else server.output,
                ): rank
                for rank in range(size)
            }
            ended = wait_for_all(server, keys, stop)
    finally:
        if own:
            server.close()
    if (failure := cause(ended)) is not None:
        where = "" if failure.rank == 0 else f" ({errors[failure.rank]})"
        if failure.result.kind == "invalid":
            raise UserError(f"rank {failure.rank}: {failure.result.message}")
        raise RankFailed(
            f"rank {failure.rank} of {size}: {failure.result.message}{where}",
            failure.result.kind,
            failure.result.traceback,
        )
    if any(each.code for each in ended):
        raise Interrupted("stopped; the same command resumes this run")
    for path in errors:
        path.unlink(missing_ok=True)
    finished = store.read(record.id)
    assert finished is not None, "rank 0 writes the record"
    return finished


@dataclass(frozen=True)
class Rank:
    """A rank that has ended. at: when, by the clock that all processes of a machine have in common.

    ours: it was killed because another had failed."""

    rank: int
    code: int
    result: Result
    at: float
    ours: bool = False


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


def wait_for_all(server: ForkServer, keys: dict[int, int], stop: threading.Event) -> list[Rank]:
    """The ranks, in the order of ending; when one fails, the others get ten seconds to end by themselves.

    stop: set when the ranks should save and stop. Raises Interrupted on KeyboardInterrupt: the ranks are killed then.
    """
    found: dict[int, Rank] = {}
    killed: set[int] = set()
    deadline = None
    told = False
    while len(found) < len(keys):
        try:
            for ended in server.ended(0.2):
                rank = keys[ended.key]
                result, at = ended.result or (_without_a_word(ended.code), math.inf)
                found[rank] = Rank(rank, ended.code, result, at, rank in killed)
        except KeyboardInterrupt as error:
            for key in keys:
                server.kill(key)
            raise Interrupted("stopped at once; the same command resumes from the last checkpoint") from error
        if stop.is_set() and not told:
            told = True
            for key in keys:
                server.stop(key)
        if deadline is None and any(each.result.kind != "done" for each in found.values()):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            for key, rank in keys.items():
                if rank not in found:
                    killed.add(rank)
                    server.kill(key)
            deadline = time.monotonic() + GRACE
    return list(found.values())


def _without_a_word(code: int) -> Result:
    """Of a rank that left no result: it was killed, has stopped, or ended itself."""
    if code < 0:
        return Result("killed", message=death(code))
    return Result("stopped") if code == 130 else Result("bug", message=f"ended with exit code {code}")


def cause(ended: Sequence[Rank]) -> Rank | None:
    """The rank that failed by itself; None where none did.

    One that is gone breaks the connections of the others, which fail for that, or abort. So what can't be a consequence
    comes first: a kill, a mistake in the configuration, memory, a disk. Of other errors the earliest counts.
    """
    failures = [each for each in ended if each.result.kind not in ("done", "stopped") and not each.ours]

    def order(each: Rank) -> tuple[int, float]:
        if each.code < 0:
            return (3 if each.code == -signal.SIGABRT else 0), each.at
        if each.result.kind != "bug":
            return 1, each.at
        return 2, each.at

    return min(failures, key=order, default=None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

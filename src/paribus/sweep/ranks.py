"""A run of several processes: fresh ones in run mode, never a re-execution of the command that started them.

Lightning's own launcher runs sys.argv again in every rank. Under a sweep that is a whole sweep for each rank, and the
process group of one job survives into the next, which then trains on half of its data without a word
(hydra#2070, Lightning#11300). Here each rank is forked by the fork server and is told one thing: the run.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from paribus.base.errors import Interrupted, UserError
from paribus.base.processes import scrubbed
from paribus.base.signals import graceful_stop
from paribus.config.run import Run
from paribus.run.execute import execute
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.failure import guarded
from paribus.sweep.fork import ForkServer
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

    Raises UserError or RuntimeError with the message of the first rank that failed; the others are ended then.
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
            codes = wait_for_all(server, keys, stop)
    finally:
        if own:
            server.close()
    if any(code == 130 for code in codes.values()):
        raise Interrupted("stopped; the same command resumes this run")
    if any(codes.values()):
        rank = next(rank for rank, code in codes.items() if code)  # the one that failed first
        said = Path(server.output) if rank == 0 and server.output else errors[rank]
        text = said.read_text(errors="replace").strip() if said.exists() else "see above"
        if codes[rank] == 2:
            raise UserError(f"rank {rank}: {text.removeprefix('error: ')}")
        raise RuntimeError(f"rank {rank} of {size} ended with exit code {codes[rank]}: {text[-2000:]}")
    for path in errors:
        path.unlink(missing_ok=True)
    finished = store.read(record.id)
    assert finished is not None, "rank 0 writes the record"
    return finished


def rank_of_run(run: Run, record: Record, root: Path, threads: int, *, server: ForkServer) -> None:
    """One rank, in its own process."""
    import torch

    torch.set_num_threads(threads)
    sys.exit(guarded(lambda: execute(run, record, Store(root))))


def wait_for_all(server: ForkServer, keys: dict[int, int], stop: threading.Event) -> dict[int, int]:
    """Exit codes by rank, in the order of ending; when one fails, the others get ten seconds to end by themselves.

    stop: set when the ranks should save and stop. Raises Interrupted on KeyboardInterrupt: the ranks are killed then.
    """
    codes: dict[int, int] = {}
    deadline = None
    told = False
    while len(codes) < len(keys):
        try:
            for ended in server.ended(0.2):
                codes[keys[ended.key]] = ended.code
        except KeyboardInterrupt as error:
            for key in keys:
                server.kill(key)
            raise Interrupted("stopped at once; the same command resumes from the last checkpoint") from error
        if stop.is_set() and not told:
            told = True
            for key in keys:
                server.stop(key)
        if deadline is None and any(codes.values()):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            for key, rank in keys.items():
                if rank not in codes:
                    server.kill(key)
            deadline = time.monotonic() + GRACE
    return codes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

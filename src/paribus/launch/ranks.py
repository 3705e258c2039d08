"""A run of several processes: fresh ones in run mode, never a re-execution of the command that started them.

Lightning's own launcher runs sys.argv again in every rank. Under a sweep that is a whole sweep for each rank, and the
process group of one job survives into the next, which then trains on half of its data without a word
(hydra#2070, Lightning#11300). Here each rank is a new interpreter that is told one thing: the folder of its run.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from paribus.errors import Interrupted, UserError
from paribus.plan.identity import world_size
from paribus.store.record import Record
from paribus.store.store import Store

# Everything by which Lightning or a cluster would tell a process that it is part of some other group.
_SCRUBBED = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def run_ranks(config: Mapping[str, Any], record: Record, store: Store) -> Record:
    """Start all ranks of a run on this machine, wait for them, and return the record that rank 0 wrote.

    Raises UserError or RuntimeError with the message of the first rank that failed; the others are ended then.
    """
    if config["trainer"]["num_nodes"] > 1:
        raise UserError(
            f"trainer.num_nodes={config['trainer']['num_nodes']}: several machines are started by a cluster, "
            "one process for each device; on this machine use trainer.num_nodes=1"
        )
    folder = store.run_dir(record.id)
    folder.mkdir(parents=True, exist_ok=True)
    order = folder / "ranks.yaml"
    order.write_text(yaml.safe_dump({"config": dict(config), "record": asdict(record)}, sort_keys=False))
    size = world_size(config)
    environment = {
        key: value for key, value in os.environ.items() if key not in _SCRUBBED and not key.startswith("PL_")
    }
    environment.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE=str(size), NODE_RANK="0")
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
    processes = []
    try:
        for rank in range(size):
            with open(folder / f"rank{rank}.err", "w") as errors:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "paribus.launch.rank", str(folder)],
                        env={**environment, "LOCAL_RANK": str(rank), "RANK": str(rank)},
                        stderr=errors if rank else None,
                    )
                )
        codes = wait_for_all(processes)
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        wait_for_all(processes)
        raise Interrupted("stopped; the same command goes on with this run") from None
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        order.unlink(missing_ok=True)
    if any(code == 130 for code in codes):
        raise Interrupted("stopped; the same command goes on with this run")
    if any(codes):
        rank, code = next((rank, code) for rank, code in enumerate(codes) if code)
        text = (folder / f"rank{rank}.err").read_text().strip() if rank else "see above"
        if code == 2:
            raise UserError(f"rank {rank}: {text.removeprefix('error: ')}")
        raise RuntimeError(f"rank {rank} of {size} ended with exit code {code}: {text[-2000:]}")
    for rank in range(size):
        (folder / f"rank{rank}.err").unlink(missing_ok=True)
    finished = store.read(record.id)
    assert finished is not None, "rank 0 writes the record"
    return finished


def wait_for_all(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes of all; when one fails, the others get ten seconds to end by themselves."""
    deadline = None
    while any(process.poll() is None for process in processes):
        time.sleep(0.02)
        if deadline is None and any(process.poll() for process in processes):
            deadline = time.monotonic() + 10.0
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                if process.poll() is None:
                    process.kill()
    return [process.wait() for process in processes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

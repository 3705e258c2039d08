"""The decision, by one measurement, how many members form a stack and whether it is compiled."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from paribus.config.run import Run
from paribus.datasets.prepare import TensorSet, placed
from paribus.extras.stack.fit import schedule_key, task_key
from paribus.extras.stack.measure import SAFE, Bench, Findings, explore, free_bytes, try_compiled
from paribus.extras.stack.measured import Measured
from paribus.extras.stack.members import Member
from paribus.extras.stack.planning import program
from paribus.run import build
from paribus.run.data import RunData
from paribus.run.fit import build_trainee
from paribus.run.trainee import Trainee
from paribus.store.provenance import provenance
from paribus.store.record import Record

log = logging.getLogger("paribus")

SHARE = 0.03  # of the estimated time, for measuring
TOO_SHORT = 5.0  # seconds of training, of all members, in which measuring costs more than it can save
COMPILING = 0.7  # seconds to compile, for each tensor of parameters: 4 s for mlp, 51 s for vit_tiny, on two cores
COMPILING_SHARE = 0.05  # of the estimated time, for trying it


def decide(members: Sequence[Member], setting: build.Setting, data: RunData, outputs: Path) -> tuple[int, bool]:
    """(how many members to train together, whether to compile their program).

    The decision is kept in outputs/stacks.json, for this program and this machine; a later, larger stack extends it.
    """
    run, most = members[0].run, len(members)
    wanted = run.trainer.compile
    if most == 1:
        return 1, wanted
    store, key, machine = Measured(outputs), program(run), machine_name(run)
    known = store.decision(key, machine)
    if known is not None and (known["size"] < known["measured"] or known["measured"] >= most):
        return min(known["size"], most), wanted or known["compile"]
    updates = data.updates or 0
    # Sizes are compared as traces: each would take seconds to compile, and nothing compiles while memory is counted.
    bench = bench_of(members, setting, data)
    found = explore(bench, most, updates, SHARE, TOO_SHORT) if updates else Findings(too_short=True)
    if found.too_short:
        return most, wanted
    size = best_size(found, most, bench.x.device)
    compile = wanted or (size > 1 and compiling_pays(bench, found, size, updates, -(-most // size)))
    store.remember(key, machine, decision(found, size, most, compile))
    log.info(
        "stack of %d of %d runs; ms per update of one run, by size of the stack: %s", size, most, milliseconds(found)
    )
    return size, compile


def compiling_pays(bench: Bench, found: Findings, size: int, updates: int, rounds: int) -> bool:
    """Whether stacks of this size are faster compiled, tried where all their rounds take long enough."""
    eager = found.each(size_measured(found, size)) * size
    tensors = sum(1 for _ in bench.make(0)[0].network.parameters())
    if COMPILING * tensors > COMPILING_SHARE * eager * updates * rounds:
        return False
    try_compiled(bench, found, size)
    assert found.compiled is not None
    return (eager - found.compiled) * updates > found.compile_seconds


def best_size(found: Findings, most: int, device: torch.device) -> int:
    """The fastest measured size; all members, where the largest measured is the fastest and memory allows."""
    best = found.best()
    if best == 1 or best < max(found.seconds):
        return best
    size = most
    while size > best and found.predicted_bytes(size) > SAFE * free_bytes(device):
        size = -(-size // 2)
    return max(size, best)


def size_measured(found: Findings, size: int) -> int:
    return max((known for known in found.seconds if known <= size), default=1)


def decision(found: Findings, size: int, most: int, compile: bool) -> dict[str, Any]:
    return {
        "size": size,
        "measured": most,
        "compile": compile,
        "seconds": {str(known): value for known, value in found.seconds.items()},
        "bytes": {str(known): value for known, value in found.bytes.items()},
        "compiled_seconds": found.compiled,
        "compile_seconds": found.compile_seconds,
    }


def relative_time(run: Run, setting: build.Setting, data: RunData, size: int) -> float:
    """The time of an update in the fastest stacks of `size` runs like this one, each, over that of one alone."""
    member = Member(run, Record("measured", "running"), Path())
    found = explore(bench_of([member] * size, setting, data), size, updates=0, share=0.0)
    return found.each(found.best()) / found.each(1)


def milliseconds(found: Findings) -> str:
    return ", ".join(f"{size}: {found.each(size) * 1e3:.3g}" for size in found.seconds)


def bench_of(members: Sequence[Member], setting: build.Setting, data: RunData) -> Bench:
    run = members[0].run
    device, dtype = torch.device(run.device), dtype_of(run)
    assert isinstance(data.splits.train, TensorSet)
    x, y = data.splits.train.slice(0, data.plan.batch_size_at(0))
    x, y = placed(x, device, dtype or torch.float32, torch.preserve_format), y.to(device)
    x, y = setting.task.augment(x, y, torch.Generator(device).manual_seed(0))
    context: Callable[[], Any] = nullcontext
    if run.precision == "bf16-mixed":
        context = functools.partial(torch.autocast, device.type, torch.bfloat16)

    def make(k: int) -> tuple[Trainee, str, str]:
        run = members[k].run
        trainee = build_trainee(run, build.build_setting(run), None)
        trainee.task.prepare(data.splits)
        return trainee, task_key(run), schedule_key(run)

    return Bench(make, x, y, dtype or torch.float32, context)


def dtype_of(run: Run) -> torch.dtype | None:
    """The type of weights, where the precision changes it; those of two bytes train alone."""
    return torch.float64 if run.precision == "64-true" else None


def machine_name(run: Run) -> str:
    """What a measurement is good for."""
    version = f"torch {torch.__version__}"
    if run.device == "cuda":
        return f"{torch.cuda.get_device_name()}, {version}"
    hardware = provenance("", 1)["hardware"]
    return f"{hardware['cpu']}, {torch.get_num_threads()} threads, {version}"

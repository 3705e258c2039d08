"""The measurement of a stack's speed and size, on the real network, shapes, optimizer and device."""

from __future__ import annotations

import functools
import math
import os
import resource
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paribus.base.torch_internals import SHOWS_OPERATIONS, DispatchMode
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.optimizers import Setting, StackedOptimizers
from paribus.extras.stack.program import Gradients
from paribus.extras.stack.task import StackedTask
from paribus.extras.stack.update import whole_updates
from paribus.run.trainee import Trainee

Step = Callable[[], None]

SAFE = 0.8  # share of the free memory that a stack may take


@dataclass
class Bench:
    """Updates of `size` replicas without data loading, metrics or checkpoints, alone (size 1) or stacked.

    make: k -> a fresh run, and the keys of its task and schedule. x (N, ...), y (N, ...): a batch, the same for all.
    context: autocast, where the precision asks for it.
    """

    make: Callable[[int], tuple[Trainee, str, str]]
    x: Tensor
    y: Tensor
    dtype: torch.dtype
    context: Callable[[], AbstractContextManager[Any]]
    compile: bool = False

    def step(self, size: int) -> Step:
        """A function that takes one update. The first two allocate, trace and compile."""
        made = [self.make(k) for k in range(size)]
        for run, _, _ in made:
            run.network.to(self.x.device, self.dtype)
        return self._alone(made[0][0]) if size == 1 else self._stacked(made)

    def _alone(self, run: Trainee) -> Step:
        network, optimizer = run.network.train(), run.make_optimizer(run.network)

        def step() -> None:
            with self.context():
                loss = run.task.loss(network(self.x), self.y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    def _stacked(self, made: Sequence[tuple[Trainee, str, str]]) -> Step:
        stack = StackedNetwork([run.network for run, _, _ in made])
        stack.generators = [torch.Generator(self.x.device) for _ in made]
        task = StackedTask([run.task for run, _, _ in made], [key for _, key, _ in made])
        optimizers = StackedOptimizers(stack, [Setting(run.make_optimizer, run.schedule, key) for run, _, key in made])
        gradients = Gradients(stack, task, sys.maxsize, self.compile)
        update = whole_updates(gradients, optimizers)
        x = self.x.expand(len(stack), *self.x.shape).contiguous()
        y = self.y.expand(len(stack), *self.y.shape).contiguous()

        def step() -> None:
            with self.context():
                if update is not None and update(x, y) is not None:
                    return
                _, _, grads = gradients(x, y)
            optimizers.assign(grads)
            optimizers.step()

        return step


def seconds_of(step: Step, device: torch.device, patience: float) -> float:
    """The least time of an update, after its first; over three at least, none of them begun after `patience` seconds.

    Of an update that takes longer than that, one is enough.
    """
    least, started = math.inf, time.perf_counter()
    for turn in range(12):
        before = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        least = min(least, time.perf_counter() - before)
        if time.perf_counter() - started > patience and (turn >= 2 or least > patience):
            break
    return least


def peak_bytes(make_step: Callable[[], Step], device: torch.device) -> tuple[int, Step]:
    """The most memory that a stack takes, built and trained for two updates, and its update."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step = make_step()
        step()
        step()
        return int(torch.cuda.max_memory_allocated(device) - before), step
    if not SHOWS_OPERATIONS:
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step = make_step()
        step()
        step()
        return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib), step
    with _Held() as held:
        step = make_step()
        step()
        step()
    return held.most, step


class _Held(DispatchMode):
    """Counts the bytes of all tensors that operations return, while they live; scratch within operations is not seen.

    (torch's profiler sees it, and writes to the terminal.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage.data_ptr(), storage.nbytes()
        if size and key not in self._known:
            self._known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def free_bytes(device: torch.device) -> float:
    """Memory that can still be taken; infinite where it can't be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        try:
            free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (ValueError, OSError):
            return math.inf
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container or a SLURM job
    try:
        used = float(Path("/sys/fs/cgroup/memory.current").read_text())
        return min(free, float(limit.read_text()) - used)
    except (OSError, ValueError):
        return free


@dataclass
class Findings:
    """seconds: size -> seconds of an update of all its replicas. bytes: size -> the most memory.

    too_short: no stack was measured, since all the training takes less time than is worth it.
    compiled, compile_seconds: an update of the best size, where it was worth trying, and what each stack of the sweep
        takes to compile once torch has the program on the disk.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)
    too_short: bool = False
    compiled: float | None = None
    compile_seconds: float = 0.0

    def each(self, size: int) -> float:
        """Seconds that an update of one replica costs in a stack of this size."""
        return self.seconds[size] / size

    def best(self) -> int:
        return min(self.seconds, key=self.each)

    def predicted_bytes(self, size: int) -> float:
        """Memory grows linearly: what all share, and what each replica adds."""
        known = sorted(size for size in self.bytes if size > 1)
        if len(known) < 2:
            return self.bytes[known[0]] / known[0] * size if known else 0.0
        low, high = known[0], known[-1]
        slope = (self.bytes[high] - self.bytes[low]) / (high - low)
        return self.bytes[low] + slope * (size - low)


def explore(bench: Bench, most: int, updates: int, share: float, too_short: float = 0.0) -> Findings:
    """Measure growing stacks while they pay, and take no more than `share` of the time that all of it saves or costs.

    most: members at hand. updates: of each run. too_short: seconds of all updates, one run after the other, below which
        no stack is measured.
    """
    device = bench.x.device
    found = Findings()
    single = bench.step(1)
    single()
    before = time.perf_counter()
    single()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    patience = max(0.02, share * updates * most * (time.perf_counter() - before) / 8)
    found.seconds[1] = seconds_of(single, device, patience)
    if found.seconds[1] * updates * most < too_short:
        found.too_short = True
        return found
    for size in dict.fromkeys([min(4, most), min(16, most), *(min(2**n, most) for n in range(6, 20))]):
        if size < 2 or size in found.seconds:
            continue
        step = None
        if len(found.bytes) < 2:
            found.bytes[size], step = peak_bytes(functools.partial(bench.step, size), device)
        if found.predicted_bytes(size) > SAFE * free_bytes(device):
            break
        if step is None:
            step = bench.step(size)
            step()
            step()
        found.seconds[size] = seconds_of(step, device, patience)
        # The machine may have become faster or slower in between.
        found.seconds[1] = min(found.seconds[1], seconds_of(single, device, patience / 4))
        if found.each(size) > 1.05 * min(found.each(other) for other in found.seconds if other < size):
            break
    return found


def try_compiled(bench: Bench, found: Findings, size: int) -> None:
    """Compile a stack of this size, and time what it then takes to compile another, and an update of that."""
    compiled = replace(bench, compile=True)
    for _ in range(2):
        step = compiled.step(size)
        before = time.perf_counter()
        step()  # of a whole update the first is taken in parts
        step()
    found.compile_seconds = time.perf_counter() - before
    found.compiled = seconds_of(step, bench.x.device, 1.0)

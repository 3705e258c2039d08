"""The gain of stacks: many runs as one program, against the same runs one after the other.

    python scripts/bench_stack.py sweep   [--threads 1] [--epochs 20] [--turns 3] [--sample 4] [--skip-usual]
    python scripts/bench_stack.py process [--threads 1]
    python scripts/bench_stack.py auto    [--threads 1] [--members 8]
    python scripts/bench_stack.py compile [--threads 1] [--members 8] [--models mlp cnn resnet20]
    python scripts/bench_stack.py memory
    python scripts/bench_stack.py device  [--sizes 1 8 64 256 512]     where there is a GPU

sweep: 64 mlp runs (8 rates x 8 seeds, and 8 optimizers x 8 seeds) on the digits at batch 32. Paribus trains them as its
launcher does, one stack to a process and as many processes as cores allow, with validation, histories, checkpoints and
records. By hand `sample` runs are timed before and as many after it, one after the other in one process, and their mean
is multiplied by 64. Of the usual Lightning pattern one fit() is timed in this process, and `sample` runs under Hydra's
own launcher, with the test and whatever Hydra does for each job, but without the start of the command. Ratios are of
one turn, in seconds of the clock, and in CPU seconds of all processes, which tell more on a machine that others use as
well, and nothing about the number of cores.

process: whole processes, start-up included: `paribus train -m` of the 64 runs, measuring of the stack and all, against
a script with the loop, and against Hydra's own launcher over the usual pattern.

auto: for mlp, cnn, resnet20, vit_tiny at batch 8, 32, 128 what the measurement decides, and how much slower its choice
is than the best of alone and stacks of 2, 4, ... members, timed again.

compile: for the models at batch 8, 32, 128 one run alone, a stack as it is traced, and one compiled, and what compiling
takes: the first time, and again once torch has the program on the disk.

memory: predicted from stacks of 4 and 16 against measured, for larger ones.

device: replicas x updates a second, memory, and the ratio to runs one after the other, for mlp, cnn, resnet20 on images
of 3 x 32 x 32, in fp32 and bf16, eager and compiled, and with CUDA graphs (torch.compile mode reduce-overhead).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from bench_overhead import hand_written, spread, usual_lightning
from bench_sweep import SCRIPTS, measured

from paribus.config.compose import load, resolved
from paribus.config.composer import Composer
from paribus.config.run import Run
from paribus.extras.stack.decision import SHARE, TOO_SHORT, bench_of
from paribus.extras.stack.execute import train_stack
from paribus.extras.stack.measure import Bench, Findings, explore, peak_bytes, seconds_of
from paribus.extras.stack.members import Member
from paribus.run import build
from paribus.run.bookkeeping import new_record
from paribus.store.store import Store
from paribus.sweep.slots import cores

RATES = [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15]
OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "radam"]


@dataclass
class Clock:
    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed(into: Clock) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.wall += time.perf_counter() - wall
    into.cpu += time.process_time() - cpu


def sweep_lines(kind: str, epochs: int, threads: int) -> list[list[str]]:
    base = ["model=mlp", "data.batch_size=32", f"budget.epochs={epochs}", f"trainer.threads={threads}"]
    varied = [f"optimizer.lr={r}" for r in RATES] if kind == "rates" else [f"optimizer={o}" for o in OPTIMIZERS]
    return [[*base, one, f"seed={seed}"] for one, seed in itertools.product(varied, range(8))]


def runs_of(lines: list[list[str]], outputs: Path) -> list[Run]:
    composer = Composer()
    return [composer([*line, f"paths.outputs={outputs}"]).run for line in lines]


def stacked(runs: list[Run], lines: list[list[str]], folder: Path) -> tuple[Clock, Clock]:
    """(training as the loop counts it: from the first update to the last validation; all of the job)"""
    path = folder / f"members{os.getpid()}.json"
    listed = [{"config": r.resolved, "choices": {}, "overrides": line} for r, line in zip(runs, lines, strict=True)]
    path.write_text(json.dumps({"members": listed}))
    inner, whole = Clock(), Clock()
    fit_loop = pl.loops.fit_loop._FitLoop.run

    def run(self: Any) -> Any:
        with timed(inner):
            return fit_loop(self)

    pl.loops.fit_loop._FitLoop.run = run  # type: ignore[method-assign]
    try:
        with timed(whole), redirect_stderr(StringIO()):
            train_stack(runs[0].but({"stack": len(runs)}), path)
    finally:
        pl.loops.fit_loop._FitLoop.run = fit_loop  # type: ignore[method-assign]
    return inner, whole


def in_processes(asked: list[Run], lines: list[list[str]], folder: Path, threads: int) -> tuple[Clock, Clock]:
    """As `stacked`, in as many processes as there are cores for: the slowest one's seconds, and CPU of all."""
    processes = max(1, cores() // threads)
    bounds = [round(part * len(asked) / processes) for part in range(processes + 1)]
    shares = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
        jobs = [pool.submit(stacked, asked[share], lines[share], folder) for share in shares]
        clocks = [job.result() for job in jobs]
    done = {record.status for record in Store(Path(asked[0].paths.outputs)).scan()}
    assert done <= {"done", "diverged"}, done
    inner, whole = (Clock(max(c.wall for c in each), sum(c.cpu for c in each)) for each in zip(*clocks, strict=True))
    return inner, whole


def by_hand(asked: list[Run], epochs: int, number: int) -> Clock:
    """Mean of `number` runs, spread over the sweep."""
    clock = Clock()
    for run in asked[:: -(-len(asked) // number)]:
        before = time.process_time()
        clock.wall += hand_written(run, epochs, functools.partial(build.build_optim, run))
        clock.cpu += time.process_time() - before
    return Clock(clock.wall / number, clock.cpu / number)


def sweep(options: argparse.Namespace) -> None:
    for kind in options.kinds:
        ratios: dict[str, list[float]] = {}
        for turn in range(options.turns):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                lines = sweep_lines(kind, options.epochs, options.threads)
                asked = runs_of(lines, folder / "outputs")
                if not turn:
                    by_hand(asked, 2, 1)
                first = by_hand(asked, options.epochs, options.sample)
                inner, whole = in_processes(asked, lines, folder, options.threads)
                last = by_hand(asked, options.epochs, options.sample)
                runs = len(asked)
                hand = Clock((first.wall + last.wall) / 2 * runs, (first.cpu + last.cpu) / 2 * runs)
                found = {
                    "training, clock": hand.wall / inner.wall,
                    "training, CPU": hand.cpu / inner.cpu,
                    "whole job, clock": hand.wall / whole.wall,
                    "whole job, CPU": hand.cpu / whole.cpu,
                    "by hand, ms of CPU an update": hand.cpu / runs / (options.epochs * 38) * 1e3,
                    "stack, ms of CPU an update": inner.cpu / runs / (options.epochs * 38) * 1e3,
                }
                if not options.skip_usual:
                    usual = Clock()
                    with timed(usual), warnings.catch_warnings():
                        usual_lightning(asked[0], options.epochs, folder / "usual")
                    found["usual Lightning, fit() alone, clock"] = usual.wall * runs / whole.wall
                    _, each = under_hydra(options, folder)
                    found["usual Lightning under Hydra, clock"] = each.wall * runs / whole.wall
                    found["usual Lightning under Hydra, CPU"] = each.cpu * runs / whole.cpu
            for key, value in found.items():
                ratios.setdefault(key, []).append(value)
        print(f"64 mlp runs, 8 {kind} x 8 seeds, batch 32, {options.epochs} epochs")
        for key, values in ratios.items():
            print(f"  {key:36} {spread(values)}", flush=True)


def under_hydra(options: argparse.Namespace, folder: Path) -> tuple[Clock, Clock]:
    """(a command of two runs with Hydra's launcher, each run more: what `sample` more take)"""
    clocks = []
    for runs in (2, 2 + options.sample):
        own = folder / f"hydra{runs}"
        own.mkdir()
        overrides = ["model=mlp", "data.batch_size=32", f"budget.epochs={options.epochs}", f"seed=range({runs})"]
        command = [sys.executable, str(SCRIPTS / "usual_lightning.py"), "-m", *overrides]
        clocks.append(measured([*command, f"trainer.threads={options.threads}"], own))
    (few, few_cpu), (many, many_cpu) = clocks
    return Clock(few, few_cpu), Clock((many - few) / options.sample, (many_cpu - few_cpu) / options.sample)


LOOP = """
import sys
sys.path.insert(0, "scripts")
import torch
torch.set_num_threads({threads})
from bench_overhead import hand_written
from bench_stack import runs_of, sweep_lines
from pathlib import Path
for run in runs_of(sweep_lines("rates", {epochs}, {threads}), Path("none"))[: {runs}]:
    hand_written(run, {epochs})
"""


def process(options: argparse.Namespace) -> None:
    """The loop's process is timed with 8 and with 16 runs: the difference, eight times, is what 64 take."""
    ratios, usual = [], []
    for _ in range(options.turns):
        with tempfile.TemporaryDirectory() as scratch:
            two, each = under_hydra(options, Path(scratch))
            times = []
            for runs in (8, 16):
                code = LOOP.format(threads=options.threads, epochs=options.epochs, runs=runs)
                clock = Clock()
                with timed(clock):
                    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
                times.append(clock.wall)
            hand = times[0] + (times[1] - times[0]) / 8 * 56
            command = ["scripts/train.py", "-m", "model=mlp", "data.batch_size=32", f"budget.epochs={options.epochs}"]
            command += [f"trainer.threads={options.threads}", f"optimizer.lr={','.join(map(str, RATES))}"]
            command += ["seed=range(8)", f"paths.outputs={scratch}/outputs"]
            clock = Clock()
            with timed(clock):
                subprocess.run([sys.executable, *command], check=True, capture_output=True)
            ratios.append(hand / clock.wall)
            usual.append((two.wall + each.wall * 62) / clock.wall)
    print(f"whole processes, 64 runs: by hand / stack {spread(ratios)}, usual Lightning under Hydra {spread(usual)}")


def member(run: Run, folder: Path, seed: int) -> Member:
    own = run.but({"seed": seed, "seeds.init": seed, "seeds.order": seed, "seeds.augmentation": seed})
    return Member(own, new_record(own, {"norm": ["batch"]}, []), folder)


def cases(options: argparse.Namespace) -> Iterator[tuple[str, int, Run, Any, Any]]:
    """(model, batch size, run, setting, data) of every model at three batch sizes."""
    for model, batch in itertools.product(options.models, (8, 32, 128)):
        norm = "layer" if model == "vit_tiny" else "batch"
        run = Run.parse(resolved(load([f"model={model}", f"norm={norm}", f"data.batch_size={batch}"])))
        setting = build.build_setting(run)
        yield model, batch, run, setting, build.build_data(run, setting)


def in_turn(steps: dict[Any, Callable[[], None]], device: torch.device, patience: float) -> dict[Any, float]:
    """Seconds of an update of each; in turn, since the speed of the machine drifts."""
    times = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step()
        step()
    for _ in range(2):
        for key, step in steps.items():
            times[key] = min(times[key], seconds_of(step, device, patience))
    return times


def compiled(options: argparse.Namespace) -> None:
    print(f"{'':16}{'ms of an update of one run':^28}{'s to compile':^17}")
    print(f"{'model':10}{'batch':>6}{'alone':>9}{'traced':>9}{'compiled':>10}{'first':>9}{'again':>8}")
    for model, batch, run, setting, data in cases(options):
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.environ["PARIBUS_CACHE"] = f"{scratch}/compiled"
            members = [member(run, Path(scratch), seed) for seed in range(options.members)]
            bench = bench_of(members, setting, data)
            steps, taken = {"alone": bench.step(1), "traced": bench.step(options.members)}, []
            bench.compile = True
            for _ in range(2):
                steps["compiled"] = bench.step(options.members)
                clock = Clock()
                with timed(clock):
                    steps["compiled"]()  # a first update makes the optimizers' states
                    steps["compiled"]()
                taken.append(clock.wall)
            times = in_turn(steps, bench.x.device, options.patience)
        alone, traced, compiled = times["alone"], times["traced"] / len(members), times["compiled"] / len(members)
        shown = f"{alone * 1e3:9.2f}{traced * 1e3:9.2f}{compiled * 1e3:10.2f}"
        print(f"{model:10}{batch:6}{shown}{taken[0]:9.1f}{taken[1]:8.1f}", flush=True)


def auto(options: argparse.Namespace) -> None:
    print(
        f"{'model':10}{'batch':>6}  {'ms of one run by size of the stack':54}{'chosen':>7}{'lost':>8}{'measuring':>11}"
    )
    for model, batch, run, setting, data in cases(options):
        with tempfile.TemporaryDirectory() as scratch:
            members = [member(run, Path(scratch), seed) for seed in range(options.members)]
            before = time.perf_counter()
            bench = bench_of(members, setting, data)
            found = explore(bench, options.members, data.updates or 0, SHARE, TOO_SHORT)
            chosen = options.members if found.too_short else found.best()  # as in `decide`
            spent = time.perf_counter() - before
            sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= options.members]
            steps = {size: bench.step(size) for size in sorted({*sizes, chosen})}
            times = {size: seconds / size for size, seconds in in_turn(steps, bench.x.device, options.patience).items()}
        lost = times[chosen] / min(times.values()) - 1
        share = spent / (times[1] * (data.updates or 1) * options.members)
        shown = "  ".join(f"{size}: {value * 1e3:.3g}" for size, value in times.items())
        print(f"{model:10}{batch:6}  {shown:54}{chosen:7}{lost:8.1%}{share:11.1%}", flush=True)


def memory(options: argparse.Namespace) -> None:
    for model, batch in itertools.product(("mlp", "cnn", "resnet20"), (8, 32)):
        run = Run.parse(resolved(load([f"model={model}", f"data.batch_size={batch}"])))
        setting = build.build_setting(run)
        data = build.build_data(run, setting)
        with tempfile.TemporaryDirectory() as scratch:
            bench = bench_of([member(run, Path(scratch), seed) for seed in range(64)], setting, data)
            probe = functools.partial(_peak, bench)
            found = Findings(bytes={size: probe(size) for size in (4, 16)})
            for size in (32, 64):
                taken = probe(size)
                ratio = found.predicted_bytes(size) / taken
                print(f"{model:10} batch {batch:3}  {size:3} replicas: {taken / 2**20:8.1f} MiB, predicted {ratio:.1%}")


def _peak(bench: Bench, size: int) -> int:
    return peak_bytes(lambda: bench.step(size), bench.x.device)[0]


def device(options: argparse.Namespace) -> None:
    if not torch.cuda.is_available():
        print("no GPU is at hand: nothing measured")
        return
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}")
    print(f"{'model':10}{'type':>6}{'how':>17}{'replicas':>9}{'updates x replicas/s':>22}{'MiB':>9}{'x alone':>9}")
    for model, precision in itertools.product(("mlp", "cnn", "resnet20"), ("32-true", "bf16-mixed")):
        overrides = [f"model={model}", "data=synthetic", f"data.batch_size={options.batch}", "trainer=gpu"]
        run = Run.parse(resolved(load([*overrides, f"trainer.precision={precision}"])))
        setting = build.build_setting(run)
        data = build.build_data(run, setting)
        alone = None
        with tempfile.TemporaryDirectory() as scratch:
            members = [member(run, Path(scratch), seed) for seed in range(max(options.sizes))]
            for size, how in itertools.product(options.sizes, ("eager", "compile", "reduce-overhead")):
                if size == 1 and how != "eager":
                    continue
                bench = bench_of(members, setting, data)
                try:
                    with compiled_as(how):
                        bench.compile = how != "eager"
                        step = bench.step(size)
                        step()
                        each = seconds_of(step, bench.x.device, 2.0) / size
                    taken = _peak(bench, size) / 2**20 if how == "eager" else float("nan")
                except torch.OutOfMemoryError:
                    print(f"{model:10}{precision[:4]:>6}{how:>17}{size:9}   out of memory", flush=True)
                    torch.cuda.empty_cache()
                    continue
                alone = alone or each
                row = f"{model:10}{precision[:4]:>6}{how:>17}{size:9}{1 / each:22.0f}{taken:9.0f}{alone / each:9.1f}"
                print(row, flush=True)


@contextmanager
def compiled_as(how: str) -> Iterator[None]:
    """torch.compile with CUDA graphs for "reduce-overhead"."""
    original: Callable[..., Any] = torch.compile
    if how == "reduce-overhead":
        torch.compile = functools.partial(original, mode="reduce-overhead")  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile = original  # type: ignore[assignment]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sweep", "process", "auto", "compile", "memory", "device"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--sample", type=int, default=4, help="runs that are timed before and after each stack")
    parser.add_argument("--kinds", nargs="+", default=["rates", "optimizers"])
    parser.add_argument("--skip-usual", action="store_true")
    parser.add_argument("--models", nargs="+", default=["mlp", "cnn", "resnet20", "vit_tiny"])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--patience", type=float, default=1.0, help="seconds for each timing of `auto`")
    parser.add_argument("--batch", type=int, default=128, help="of `device`")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 8, 64, 256, 512])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, pytorch-lightning {pl.__version__}, {options.threads} threads")
    every = {"sweep": sweep, "process": process, "auto": auto, "compile": compiled, "memory": memory, "device": device}
    every[options.what](options)


if __name__ == "__main__":
    main()

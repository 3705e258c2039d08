"""Kills ablations again and again, and checks that nothing of them is lost, trained twice, or different.

    python scripts/kill_test.py [--kills 50] [--seeds 6] [--updates 2000] [--seed 0] [--case stack --case tuning]

Ablations of several kinds (see CASES; all of them unless some are named) are trained twice: once undisturbed, and once
with SIGKILL at random moments, after each of which the same command resumes; where one is done before its last kill, it
begins again from nothing. A moment is drawn from: while it starts; some time after the first update; when a checkpoint,
a record or a history is being written. Some kills hit the whole process group, some the launcher alone, whose processes
must end with it. In the end the records and every weight must be those of the undisturbed one, bit for bit.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = "PARIBUS_KILL_TEST"
# Small networks, with a checkpoint after every chunk of updates or so.
COMMON = """# @package _global_
# {words}: material for scripts/kill_test.py.
defaults:
  - override /model: {model}
  - override /norm: [{norm}]
  - override /augmentation: {augmentation}
  - override /scheduler: {scheduler}
  - override /callbacks: [{callbacks}]
model: {{{options}}}
data: {{batch_size: 16}}
budget: {{updates: {updates}}}
callbacks: {{checkpoints: {{every_seconds: 0.05}}}}
ablation:
  name: kill
  factors: {{optimizer: [{optimizers}]}}
  seeds: {seeds}
"""
TUNE = """  tune: {optimizer.lr: {times: [0.1, 1.0, 3]}}
  select_on: val/loss
"""
SEVEN = "momentum, sgd, nesterov, adam, adamw, rmsprop, adagrad"


@dataclass(frozen=True)
class Case:
    """An ablation, and how much of it is stacked."""

    words: str
    stack: str
    optimizers: str = SEVEN
    model: str = "mlp"
    options: str = "width: 16"
    norm: str = "batch"
    augmentation: str = "mixup"
    scheduler: str = "cosine"
    callbacks: str = "default, ema"
    more: str = ""

    def text(self, seeds: int, updates: int) -> str:
        parts = {name: value for name, value in vars(self).items() if name not in ("stack", "more")}
        own = f"{{tune: 2, report: {seeds}}}" if self.more else seeds
        return COMMON.format(**parts, seeds=own, updates=updates) + self.more


CASES = {
    "alone": Case("Seven optimizers, one run after the other", "off"),
    "stack": Case("Seven optimizers in stacks of four", "4"),
    "auto": Case("Seven optimizers in stacks as large as was measured", "auto"),
    "tuning": Case("Two optimizers with tuned rates", "4", "momentum, adam", more=TUNE),
    "dropout": Case(
        "A transformer with dropout", "8", "sgd, adam", "vit_tiny", "depth: 1, width: 12, dropout: 0.2", "layer"
    ),
    "schedulefree": Case("Schedule-free optimizers", "4", "schedulefree_sgd, schedulefree_adamw", scheduler="constant"),
    "early": Case("Early stopping", "auto", "sgd, adam", callbacks="default, ema, early_stopping"),
}
MOMENTS = {"starting": 1, "training": 4, "checkpoint": 3, "record": 2}
TEMPORARY = {
    "checkpoint": ("checkpoints/last.tmp", "checkpoints/next.tmp", "checkpoints/best.tmp"),
    "record": (".record.json", ".history.csv"),
}
LONGEST = 5.0  # seconds of training before a kill
FINISHED = ("done", "diverged")


@dataclass
class Tally:
    """kills, halves: by their kind. again: cells trained after they were finished. different: what differs, by cell."""

    kills: Counter[str] = field(default_factory=Counter)
    halves: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    again: int = 0
    lost: list[str] = field(default_factory=list)
    different: dict[str, list[str]] = field(default_factory=dict)


def start(folder: Path, case: Case) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    with open(folder / "command.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "paribus", "train", "-m", "ablation=kill", f"stack={case.stack}"],
            cwd=folder,
            env={**environment, MARK: folder.name},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def prepare(folder: Path, case: Case, options: argparse.Namespace) -> Path:
    (folder / "conf" / "ablation").mkdir(parents=True)
    (folder / "conf" / "ablation" / "kill.yaml").write_text(case.text(options.seeds, options.updates))
    return folder


def copy_decisions(whole: Path, killed: Path) -> None:
    """How stack=auto cut groups into stacks: it measures times, so two sweeps may cut otherwise, and then round so."""
    (killed / "outputs" / "groups").mkdir(parents=True)
    for path in whole.glob("outputs/groups/cut-*.json"):
        shutil.copy(path, killed / "outputs" / "groups")


def records(folder: Path) -> dict[str, tuple[str, int]]:
    """Status and time of writing of every record."""
    found = {}
    for path in folder.glob("outputs/runs/*/record.json"):
        found[path.parent.name] = (json.loads(path.read_text())["status"], path.stat().st_mtime_ns)
    return found


def wait_for(moment: str, folder: Path, process: subprocess.Popen[bytes], draw: random.Random) -> None:
    """Return at the moment, or when the command has ended."""
    if moment == "starting":
        time.sleep(draw.uniform(0.0, 2.0))
        return
    before = {path: path.stat().st_mtime_ns for path in folder.glob("outputs/runs/*/checkpoints/last.ckpt")}
    while process.poll() is None:  # until it trains again: some checkpoint is newer than before
        now = {path: path.stat().st_mtime_ns for path in folder.glob("outputs/runs/*/checkpoints/last.ckpt")}
        if now != before:
            break
        time.sleep(0.002)
    time.sleep(LONGEST * draw.random() ** 2)  # mostly soon, so that there are many kills before it is done
    if moment in TEMPORARY:
        deadline = time.monotonic() + 10.0
        while process.poll() is None and time.monotonic() < deadline and not half_written(folder, moment):
            pass


def half_written(folder: Path, moment: str) -> list[str]:
    """Temporary files of writers at work, or of killed ones."""
    found = []
    for run in (folder / "outputs" / "runs").iterdir():
        for part in TEMPORARY[moment]:
            pattern = part if part.endswith(".tmp") else f"{part}.*.tmp"
            found += [f"{run.name}/{path.name}" for path in run.glob(pattern)]
    return found


def survivors(folder: Path, seconds: float) -> list[int]:
    """Processes of the killed command that still live after this time."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"{MARK}={folder.name}".encode() in (entry / "environ").read_bytes():
                    state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                    found += [int(entry.name)] if state != "Z" else []
            except OSError:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def result_of(run: Path) -> dict[str, Any]:
    """Everything that must be equal: weights, averages, optimizer, metrics, history without seconds."""
    import torch

    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    best = run / "checkpoints" / "best.ckpt"
    record = json.loads((run / "record.json").read_text())
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    return {
        "weights": content["state_dict"],
        "average": content.get("evaluation_weights", {}),
        "optimizer": content["optimizer_states"],
        "best": torch.load(best, weights_only=True)["state_dict"] if best.exists() else None,
        "status": record["status"],
        "stack": record["timing"].get("stack", 1),
        "segments": record["provenance"]["segments"],
        "metrics": record["metrics"],
        "history": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
    }


def equal(a: Any, b: Any) -> bool:
    """Bit for bit."""
    import torch

    if isinstance(a, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape
        return same and a.reshape(-1).view(torch.uint8).equal(b.reshape(-1).view(torch.uint8))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b or (a != a and b != b)  # nan is equal to nan


def interrupted(killed: Path, case: Case, kills: int, draw: random.Random, tally: Tally) -> None:
    """Train the ablation in `killed` to its end, and kill it until it is there, `kills` times at the most."""
    known: dict[str, tuple[str, int]] = {}
    for _ in range(kills):
        moment = draw.choices(list(MOMENTS), list(MOMENTS.values()))[0]
        alone = draw.random() < 0.2
        process = start(killed, case)
        wait_for(moment, killed, process, draw)
        if process.poll() is not None:
            if process.returncode:
                sys.exit((killed / "command.log").read_text()[-3000:])
            break
        if alone:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tally.kills[moment + (", launcher alone" if alone else "")] += 1
        tally.orphans += len(survivors(killed, 2.0))
        for kind in TEMPORARY:
            tally.halves[kind] += len(half_written(killed, kind)) if (killed / "outputs" / "runs").exists() else 0
        now = records(killed)
        tally.again += sum(known[id] != now.get(id) for id in known if known[id][0] in FINISHED)
        known = now
        done = sum(status in FINISHED for status, _ in now.values())
        print(f"  {tally.kills.total()}: {moment}, {done} done", flush=True)
    if start(killed, case).wait():
        sys.exit((killed / "command.log").read_text()[-3000:])
    now = records(killed)
    tally.again += sum(known[id] != now.get(id) for id in known if known[id][0] in FINISHED)
    if start(killed, case).wait() or records(killed) != now:
        tally.again += 1


def compare(whole: Path, killed: Path, tally: Tally) -> None:
    now = records(killed)
    for id in sorted(records(whole)):
        if now.get(id, ("",))[0] not in FINISHED:
            tally.lost.append(id)
            continue
        expected, found = (result_of(folder / "outputs" / "runs" / id) for folder in (whole, killed))
        if parts := [part for part in expected if not equal(expected[part], found[part])]:
            tally.different[id] = parts


def rehearse(case: Case, name: str, scratch: Path, kills: int, options: argparse.Namespace, tally: Tally) -> int:
    """Train a case undisturbed, and with kills, as often as it takes. The number of cells compared."""
    draw = random.Random(f"{options.seed} {name}")
    whole = prepare(scratch / name / "whole", case, options)
    if start(whole, case).wait():
        sys.exit((whole / "command.log").read_text()[-3000:])
    cells = len(records(whole))
    print(f"{name} ({case.words}): {cells} cells; {kills} kills, seed {options.seed}", flush=True)
    before, ablations, idle = tally.kills.total(), 0, 0
    while (left := kills - (tally.kills.total() - before)) > 0:
        killed = prepare(scratch / name / f"killed{ablations}", case, options)
        copy_decisions(whole, killed)
        interrupted(killed, case, left, draw, tally)
        compare(whole, killed, tally)
        ablations += 1
        idle = idle + 1 if kills - (tally.kills.total() - before) == left else 0
        if idle == 3:
            sys.exit("the ablation was done before the first kill, three times: give it more --updates")
    return cells * ablations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of all cases together")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", action="append", choices=list(CASES), help="several times for several of them")
    parser.add_argument("--folder", help="an empty one, to work in and to leave for a look")
    options = parser.parse_args()
    names = options.case or list(CASES)
    place = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory(prefix="kill_test_")
    tally = Tally()
    cells = 0
    with place as scratch:
        for number, name in enumerate(names):
            share = options.kills * (number + 1) // len(names) - options.kills * number // len(names)
            if share:
                cells += rehearse(CASES[name], name, Path(scratch), share, options, tally)
    print(f"kills: {tally.kills.total()} ({', '.join(f'{n} {kind}' for kind, n in sorted(tally.kills.items()))})")
    print(
        f"half-written files left by kills: {tally.halves['checkpoint']} checkpoints, "
        f"{tally.halves['record']} records or histories"
    )
    print(f"processes that outlived a kill: {tally.orphans}")
    print(f"cells lost: {len(tally.lost)} of {cells} {tally.lost or ''}")
    print(f"trained twice to the end: {tally.again}")
    print(f"results that differ in any bit: {len(tally.different)} {tally.different or ''}")
    sys.exit(1 if tally.lost or tally.again or tally.different or tally.orphans else 0)


if __name__ == "__main__":
    main()

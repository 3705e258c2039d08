"""Kills an ablation again and again, and checks that nothing of it is lost, trained twice, or different.

    python scripts/kill_test.py [--kills 50] [--seeds 6] [--updates 2000] [--seed 0]

An ablation of seven arms is trained twice: once undisturbed, and once with SIGKILL at random moments, after each of
which the same command goes on; where it is done before the last kill, it begins again from nothing. A moment is drawn
from: while it starts; some time after the first update; when a checkpoint, a record or a history is being written. Some
kills hit the whole process group, some the launcher alone, whose processes must end with it. In the end the records and
every weight must be those of the undisturbed one, bit for bit.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
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
ABLATION = """# @package _global_
# Seven optimizers on a small network: material for scripts/kill_test.py.
defaults:
  - override /model: mlp
  - override /norm: [batch]
  - override /augmentation: mixup
  - override /scheduler: cosine
  - override /callbacks: [default, ema]
model: {{width: 16}}
data: {{batch_size: 16}}
budget: {{updates: {updates}}}
callbacks: {{checkpoints: {{every_seconds: 0.05}}}}
ablation:
  name: kill
  factors: {{optimizer: [momentum, sgd, nesterov, adam, adamw, rmsprop, adagrad]}}
  seeds: {seeds}
"""
MOMENTS = {"starting": 1, "training": 4, "checkpoint": 3, "record": 2}
TEMPORARY = {"checkpoint": ("checkpoints/last.tmp", "checkpoints/best.tmp"), "record": (".record.json", ".history.csv")}
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


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    with open(folder / "command.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "paribus", "train", "-m", "ablation=kill", "stack=off"],
            cwd=folder,
            env={**environment, MARK: folder.name},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def prepare(folder: Path, options: argparse.Namespace) -> Path:
    (folder / "conf" / "ablation").mkdir(parents=True)
    (folder / "conf" / "ablation" / "kill.yaml").write_text(
        ABLATION.format(updates=options.updates, seeds=options.seeds)
    )
    return folder


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
    time.sleep(draw.uniform(0.0, 1.0))
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
    record = json.loads((run / "record.json").read_text())
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    return {
        "weights": content["state_dict"],
        "average": content.get("evaluation_weights", {}),
        "optimizer": content["optimizer_states"],
        "best": torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"],
        "status": record["status"],
        "metrics": record["metrics"],
        "history": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
    }


def equal(a: Any, b: Any) -> bool:
    """Bit for bit."""
    import torch

    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def interrupted(killed: Path, kills: int, draw: random.Random, tally: Tally) -> None:
    """Train the ablation in `killed` to its end, and kill it until it is there, `kills` times at the most."""
    known: dict[str, tuple[str, int]] = {}
    for _ in range(kills):
        moment = draw.choices(list(MOMENTS), list(MOMENTS.values()))[0]
        alone = draw.random() < 0.2
        process = start(killed)
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
    if start(killed).wait():
        sys.exit((killed / "command.log").read_text()[-3000:])
    now = records(killed)
    tally.again += sum(known[id] != now.get(id) for id in known if known[id][0] in FINISHED)
    if start(killed).wait() or records(killed) != now:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="an empty one, to work in and to leave for a look")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    place = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory(prefix="kill_test_")
    tally = Tally()
    with place as scratch:
        whole = prepare(Path(scratch) / "whole", options)
        if start(whole).wait():
            sys.exit((whole / "command.log").read_text()[-3000:])
        cells = len(records(whole))
        print(f"{cells} cells; {options.kills} kills, seed {options.seed}", flush=True)
        ablations = 0
        while (left := options.kills - tally.kills.total()) > 0:
            killed = prepare(Path(scratch) / f"killed{ablations}", options)
            interrupted(killed, left, draw, tally)
            compare(whole, killed, tally)
            ablations += 1
            if options.kills - tally.kills.total() == left:
                sys.exit("the ablation was done before the first kill: give it more --updates")
    print(f"kills: {tally.kills.total()} ({', '.join(f'{n} {kind}' for kind, n in sorted(tally.kills.items()))})")
    print(
        f"half-written files left by kills: {tally.halves['checkpoint']} checkpoints, "
        f"{tally.halves['record']} records or histories"
    )
    print(f"processes that outlived a kill: {tally.orphans}")
    print(f"cells lost: {len(tally.lost)} of {cells * ablations} {tally.lost or ''}")
    print(f"trained twice to the end: {tally.again}")
    print(f"results that differ in any bit: {len(tally.different)} {tally.different or ''}")
    sys.exit(1 if tally.lost or tally.again or tally.different or tally.orphans else 0)


if __name__ == "__main__":
    main()

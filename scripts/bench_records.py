"""Time and memory of commands in an outputs folder of 1,000, 10,000 and 100,000 records, without and with its index.

    python scripts/bench_records.py [--sizes 1000,10000,100000] [--cells 1000] [--folder DIR] [--repeat 3]

The records are made. A tenth of them, but no more than `cells`, are those of an ablation with hypotheses, and the
others of no ablation. Each command runs in a process of its own: where there is no index and none is made (every record
is read, as before there was one), where it is made, and with it, the best of `repeat`. Exit code 1 where a command
takes more than 5 s of CPU with the index of 100,000 records.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from paribus.ablation.command import plan_command
from paribus.store import index
from paribus.store.record import Record
from paribus.store.store import Store

FILE = """# @package _global_
# Made by scripts/bench_records.py.
ablation:
  name: made
  design: grid
  factors:
    optimizer.lr: [{rates}]
    optimizer.momentum: [0.0, 0.9]
  seeds: 10
  hypotheses:
    - {{id: a, claim: momentum helps, arm: {{optimizer.momentum: 0.9}}, versus: {{optimizer.momentum: 0.0}}}}
"""
COMMANDS = {
    "runs": ["runs", "-n", "20"],
    "runs FILTER": ["runs", "optimizer.momentum=0.9", "--sort=-test/acc", "-n", "20"],
    "status": ["status", "ablation=made"],
    "table": ["table", "ablation=made", "--grid", "none"],
    "table --by": ["table", "--by", "optimizer.momentum", "--by", "optimizer.lr"],
    "claims": ["claims", "made"],
}
PROBE = """
import resource, sys, time
start = time.perf_counter()
if {without!r}:
    from paribus.store import index
    index.LEAST = 10**9  # none is written
sys.argv = ["paribus", *{command!r}]
from paribus.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
BOUND = 5.0


def write_records(folder: Path, number: int, cells: int) -> int:
    """The ablation file, the records of its cells, and others; how many are the ablation's."""
    (folder / "conf" / "ablation").mkdir(parents=True)
    os.chdir(folder)  # ./conf is here
    rates = ", ".join(f"{0.01 * (k + 1):.4g}" for k in range(max(1, min(cells, number // 10) // 20)))
    (folder / "conf" / "ablation" / "made.yaml").write_text(FILE.format(rates=rates))
    store, r = Store(folder / "outputs"), np.random.default_rng(0)
    [plan] = plan_command(["ablation=made"], store.read)
    versions = {f"package{k}": "1.0" for k in range(8)}
    names = [f"{split}/{kind}" for split in ("train", "val", "test") for kind in ("acc", "loss", "ece")]
    for k in range(number):
        cell = plan.cells[k % len(plan.cells)]
        own, seed = k < len(plan.cells), cell.seed + 10 * (k // len(plan.cells))
        groups = {str(key): str(value) for key, value in cell.choices.items() if "hydra" not in str(key) and value}
        values = dict(item.split("=") for item in cell.overrides if item.startswith("optimizer."))
        record = Record(
            cell.id if own else f"{k:016x}", "done", "made" if own else "other", cell.arm, seed, {**groups, **values},
            cell.run.comparable("digits"), metrics=dict(zip(names, r.normal(0.9, 0.01, 9).tolist(), strict=True)),
            timing={"ms_per_update": 1.5 + k / 1e6, "fit_seconds": 20.0, "total_seconds": 21.0, "steps": 460},
            parameters=23946, classes=10, declared=cell.run.declared.plain(), created="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:01:00+00:00", checksums={"config.yaml": f"{k:064x}", "history.csv": f"{k:064x}"},
            provenance={"command": f"paribus train seed={k}", "world_size": 1, "commit": "0" * 40, "dirty": False,
                        "versions": versions, "hardware": {"cpu": "made", "cores": 2, "device": "cpu"}},
        )  # fmt: skip
        path = store.run_dir(record.id)
        path.mkdir(parents=True)
        (path / "record.json").write_text(record.to_json())
    return len(plan.cells)


def measure(command: list[str], folder: Path, without: bool = False) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of CPU, and MB at most, of a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PARIBUS_OUTPUTS": str(folder / "outputs")}
    probe = [sys.executable, "-c", PROBE.format(command=command, without=without)]
    done = subprocess.run(probe, cwd=folder, capture_output=True, text=True, check=True, env=environment)
    wall, cpu, memory = map(float, done.stdout.split()[-3:])
    return wall, cpu, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument(
        "--folder", type=Path, help="Where the records are made, and stay (default: a temporary folder)."
    )
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    broken = False
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds by the clock (of CPU), MB at most")
    print(f"{'records':>8}  {'command':12}  {'without':>22}  {'first':>22}  {'with the index':>22}")
    for size in map(int, asked.sizes.split(",")):
        with tempfile.TemporaryDirectory() as place:
            folder = (asked.folder or Path(place)).resolve() / str(size)
            if not folder.exists():
                started = time.perf_counter()
                cells = write_records(folder, size, asked.cells)
                print(
                    f"{size:8,}  written in {time.perf_counter() - started:.0f} s, {cells:,} of an ablation", flush=True
                )
                time.sleep(index.FRESH)
            file = folder / "outputs" / index.NAME
            for name, command in COMMANDS.items():
                file.unlink(missing_ok=True)
                without = min(measure(command, folder, without=True) for _ in range(asked.repeat))
                first = measure(command, folder)
                measure(["runs", "-n", "1"], folder)
                best = min(measure(command, folder) for _ in range(asked.repeat))
                shown = "  ".join(f"{w:6.2f} ({c:6.2f}) {m:5.0f}" for w, c, m in (without, first, best))
                print(f"{size:8,}  {name:12}  {shown}", flush=True)
                broken |= size >= 100_000 and best[1] > BOUND
            if file.exists():
                print(f"{size:8,}  the index has {file.stat().st_size / 1e6:.1f} MB")
            os.chdir("/")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

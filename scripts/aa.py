"""A/A on real runs: two arms that differ in nothing but their random numbers, both tuned, compared many times.

    python scripts/aa.py [--replicates 200] [--tune 3 5 10] [--report 10] [--minutes 100] [--only-print]

Each replicate is a pair of repetitions of the ablation `aa` (a network on the digits, five learning rates), and is
judged as a table of two arms would be. The share of pairs that differ significantly must be at most 5 % and two
standard errors. Training goes on where it was stopped: what is recorded is not trained again. On two quiet cores, 200
replicates with 3, 5 and 10 tuning seeds take about an hour. Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from paribus.ablation.cells import Plan, Read
from paribus.ablation.command import plan_command
from paribus.ablation.file import Hypothesis
from paribus.ablation.findings import family
from paribus.store.reader import Reader
from paribus.store.store import Store

ALPHA = 0.05
FALSE = ("SUPPORTED", "POSITIVE", "REVERSED")


def line(replicates: int, tune: int, report: int, outputs: Path) -> list[str]:
    """The command line of all replicates with so many seeds."""
    levels = ",".join(map(str, range(2 * replicates)))
    return [
        "ablation=aa", f"ablation.name=aa-{tune}", f"ablation.factors.repetition=[{levels}]",
        "ablation.hypotheses=null",
        f"ablation.seeds.tune={tune}", f"ablation.seeds.report={report}", f"paths.outputs={outputs}",
    ]  # fmt: skip


def train(arguments: Sequence[str], seconds: float) -> bool:
    """Whether everything was trained in this time; what was begun goes on another time."""
    command = [sys.executable, "-m", "paribus", "train", "-m", *arguments]
    process = subprocess.Popen(command)
    try:
        return process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
        return False


def outcomes(plan: Plan, read: Read) -> list[str]:
    """The verdict on each pair of which every run is over, that its second arm is better than its first."""
    assert plan.ablation is not None
    found, labels = [], list(plan.arms)
    for first, second in zip(labels[::2], labels[1::2], strict=True):
        arms = {label: plan.arms[label] for label in (first, second)}
        pair = replace(plan, arms=arms, levels={label: plan.levels[label] for label in arms})
        ends = plan.levels[second], plan.levels[first]
        claim = Hypothesis("A/A", "better", *ends, "greater", plan.ablation.metric)
        cells = [cell for label in arms for cell in (*arms[label], *_kept(plan, label))]
        if all(cell is not None and (r := read(cell.id)) is not None and r.has_result for cell in cells):
            [finding] = family(pair, read, hypotheses=[claim]).findings
            found.append(finding.verdict.outcome)
    return found


def _kept(plan: Plan, label: str) -> list[object]:
    return [cell for cells in plan.kept.get(label, {}).values() for cell in cells]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--tune", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--report", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=100.0)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/aa"))
    parser.add_argument("--only-print", action="store_true")
    asked = parser.parse_args()
    rows, broken, end = [], [], time.monotonic() + 60 * asked.minutes
    for tune in asked.tune:
        arguments = line(asked.replicates, tune, asked.report, asked.outputs)
        left = end - time.monotonic()
        if not asked.only_print and left > 0:
            train(arguments, left)
        read = Reader(Store(asked.outputs))
        [plan] = plan_command(arguments, read)
        found = outcomes(plan, read)
        wrong = sum(outcome in FALSE for outcome in found)
        share = wrong / len(found) if found else math.nan
        most = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / len(found)) if found else math.nan
        kept = [1 + len(plan.kept.get(label, {})) for label in plan.tuned]
        rows.append([tune, asked.report, len(found), wrong, share, most, sum(kept) / len(kept) if kept else math.nan])
        if share > most:
            broken.append(f"{share:.3f} of the pairs differ with {tune} tuning seeds")
    head = ["tuning seeds", "reporting seeds", "pairs", "differ", "share", "at most", "points kept"]
    print(tabulate(rows, head, tablefmt="pipe", floatfmt=".3f"))
    print("\n".join(f"BROKEN {each}" for each in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

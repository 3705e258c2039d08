"""The time that every ablation takes on the handwritten digits, from nothing.

    python scripts/bench_digits.py [NAME ...]

Trains one after the other, by the command that a user types, into one empty folder and without regimes on other data;
then makes the checks. Or those named, whose times replace the old ones (`checks` is a name too). Start-up, planning,
measuring of stacks and tuning are in it. For a machine with nothing else to do: results/digits.json is where
`scripts/results.py` finds the times for RESULTS.md and the heads of the ablation files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from paribus.ablation.cells import Plan
from paribus.ablation.command import plan_command
from paribus.base.durations import duration
from paribus.config.composer import Composer
from paribus.notes import ablations as notes
from paribus.notes.checks import stored
from paribus.store.provenance import provenance
from paribus.store.store import Store

FILE = Path(__file__).resolve().parents[1] / "results" / "digits.json"


def elsewhere(plans: list[Plan], composer: Composer) -> list[str]:
    """Overrides that leave out the regimes of an ablation whose data are not the digits."""
    found = []
    for plan in plans:
        assert plan.ablation is not None
        if plan.ablation.regime and composer(plan.cells[0].overrides).choices["data"] != "digits":
            found.append(f"~ablation.regimes.{plan.ablation.regime}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    found: dict[str, Any] = {"hardware": provenance("", 1)["hardware"], "seconds": {}, "runs": {}, "checks": 0.0}
    if options.names and FILE.exists():
        known = json.loads(FILE.read_text())
        if known["hardware"] != found["hardware"]:
            sys.exit(f"{FILE} holds times of another machine, {known['hardware']}: call this without names")
        found = known
    with tempfile.TemporaryDirectory() as scratch:
        store, composer = Store(Path(scratch)), Composer()
        for name in options.names or [*notes.names(), "checks"]:
            if name == "checks":
                found["checks"] = check(store)
                continue
            ablation = f"ablation={notes.whole(name)}"
            left_out = elsewhere(plan_command([ablation], lambda id: None, composer), composer)
            command = ["train", "-m", ablation, f"paths.outputs={scratch}", *left_out]
            before, started = len(store.ids()), time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "paribus", *command], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"paribus {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
            found["seconds"][name] = round(time.perf_counter() - started, 1)
            found["runs"][name] = len(store.ids()) - before
            print(f"{name:16}{found['seconds'][name]:8.1f} s {found['runs'][name]:6} runs", flush=True)
            keep(found)
    keep(found)
    print(f"all: {duration(sum(found['seconds'].values()) + found['checks'])}")


def check(store: Store) -> float:
    """Seconds that the checks take."""
    started = time.perf_counter()
    for each in stored.chosen(()):
        stored.make(store, each)
    seconds = round(time.perf_counter() - started, 1)
    print(f"{'checks':16}{seconds:8.1f} s", flush=True)
    return seconds


def keep(found: dict[str, Any]) -> None:
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

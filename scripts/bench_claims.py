"""How long the claims of the notes take on the handwritten digits, from nothing.

    python scripts/bench_claims.py [NAME ...]

Trains every ablation with hypotheses, one after the other, by the command that a user types, into one empty folder and
without its regimes on other data; then makes the checks. Or those named, whose times replace the old ones (`checks` is
a name too). Start-up, planning, measuring of stacks and tuning are in it. For a machine with nothing else to do:
results/digits.json is where `scripts/results.py` finds the times for RESULTS.md and the heads of the ablation files.
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

from paribus.checks import stored
from paribus.cli.claims import asked
from paribus.durations import duration
from paribus.plan.cells import Plan
from paribus.plan.command import plan_command
from paribus.plan.composer import Composer
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
        found = json.loads(FILE.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        store, composer = Store(Path(scratch)), Composer()
        named = [name for name in options.names if name != "checks"]
        for name in asked(named, composer) if named or not options.names else []:
            left_out = elsewhere(plan_command([f"ablation={name}"], lambda id: None, composer), composer)
            command = ["train", "-m", f"ablation={name}", f"paths.outputs={scratch}", *left_out]
            before, started = len(store.ids()), time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "paribus", *command], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"paribus {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
            found["seconds"][name] = round(time.perf_counter() - started, 1)
            found["runs"][name] = len(store.ids()) - before
            print(f"{name:16}{found['seconds'][name]:8.1f} s {found['runs'][name]:6} runs", flush=True)
            keep(found)
        if len(named) == len(options.names) and named:
            return
        started = time.perf_counter()
        for check in stored.chosen(()):
            stored.make(store, check)
        found["checks"] = round(time.perf_counter() - started, 1)
        print(f"{'checks':16}{found['checks']:8.1f} s")
    keep(found)
    print(f"all: {duration(sum(found['seconds'].values()) + found['checks'])}")


def keep(found: dict[str, Any]) -> None:
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

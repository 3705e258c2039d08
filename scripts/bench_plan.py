"""Time and memory of planning 10,000 cells, and that their ids are those of composing each cell the plain way.

    python scripts/bench_plan.py [--sample 20]

Prints how long Hydra's own composition takes for a random sample of the cells, in the same run, and the ratio.
"""

from __future__ import annotations

import argparse
import random
import resource
import time

from paribus.ablation.parser import parse
from paribus.ablation.planner import plan_ablation
from paribus.config.compose import hydra_context, load, resolved
from paribus.config.composer import Composer
from paribus.config.identity import run_id

FILE = {
    "name": "big",
    "design": "grid",
    "factors": {
        "norm": ["batch", "none", "layer", "group", "rms"],
        "optimizer": [
            "sgd",
            "momentum",
            "nesterov",
            "adagrad",
            "rmsprop",
            "adam",
            "adamw",
            "nadam",
            "radam",
            "adadelta",
        ],
        "batch_size": ["b16", "b32", "b64", "b128"],
    },
    "tune": {"optimizer.lr": {"log": [0.001, 1.0, 10]}},
    "seeds": {"tune": 5, "report": 10},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="cells that are composed the plain way as well")
    sample = parser.parse_args().sample
    [ablation] = parse(FILE)
    with hydra_context():
        started = time.perf_counter()
        plan = plan_ablation(ablation, ["model=mlp"], lambda id: None, Composer())
        seconds = time.perf_counter() - started
        cells = random.Random(0).sample(plan.cells, sample)
        started = time.perf_counter()
        plain = [run_id(resolved(load(cell.overrides))) for cell in cells]
        each = (time.perf_counter() - started) / sample
    different = sum(cell.id != id for cell, id in zip(cells, plain, strict=True))
    number = len(plan.cells)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{number} cells planned in {seconds:.1f} s ({seconds / number * 1e3:.2f} ms each), peak memory {peak:.0f} MB"
    )
    print(f"composed the plain way: {each * 1e3:.0f} ms each, {each * number / seconds:.0f} times as long")
    print(f"ids that differ from the plain way's: {different} of {sample}")


if __name__ == "__main__":
    main()

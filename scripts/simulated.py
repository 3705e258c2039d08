"""What simulations of paribus.stats have in common: tables of results with their promises, and a command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tabulate import tabulate


@dataclass
class Result:
    """A printed table. broken: promises that do not hold, in words."""

    title: str
    head: list[str]
    rows: list[list[object]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def promise(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(f"{self.title}: {what}")

    def at_most(self, share: float, most: float, replicates: int, what: str) -> None:
        """That a share is at most `most`, up to three standard errors of the simulation."""
        self.promise(share <= most + 3 * math.sqrt(most * (1 - most) / replicates), f"{what}: {share:.3f}")


Simulation = Callable[[int, int], Result]  # of the number of replicates and the seed


def main(simulations: Sequence[Simulation], replicates: int, doc: str | None) -> int:
    """Prints the table of each; the exit code is 1 where a promise is broken. replicates: the default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=replicates)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    broken: list[str] = []
    for simulate in simulations:
        result = simulate(asked.replicates, asked.seed)
        digits = ".1f" if "%)" in result.title else ".3f"
        print(f"\n{result.title} ({asked.replicates:,} replicates)\n")
        print(tabulate(result.rows, result.head, tablefmt="pipe", floatfmt=digits), flush=True)
        broken += result.broken
    print("\n" + ("\n".join(f"BROKEN {each}" for each in broken) or "All promises hold."))
    return 1 if broken else 0

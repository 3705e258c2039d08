"""Hessian spectrum, index and verdict of a run: is it at a minimum or at a saddle?

Refines the weights to a critical point of the loss first (--refine 0 takes them as they are). Writes
curvature.json and a picture of the spectrum to the run's folder curvature/. Stop it at any time: the same command
goes on.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.terminal import say, show

SECTION = "Look"


@click.command(cls=Command)
@click.argument("run")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Use another checkpoint file of the same network.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="train", show_default=True)
@click.option("--samples", type=click.IntRange(1, 10**9), help="Use this many samples, evenly spaced (default: all).")
@click.option("--decay", is_flag=True, help="Add the run's weight decay to the loss, as a penalty on the weights.")
@click.option(
    "--refine", type=click.IntRange(0, 10**6), default=200, show_default=True, help="Largest number of Newton steps."
)
@click.option(
    "--dense",
    type=click.IntRange(2, 10**5),
    default=3000,
    show_default=True,
    help="Compute the full Hessian up to this number of parameters.",
)
@click.option(
    "--products",
    type=click.IntRange(5, 10**6),
    default=200,
    show_default=True,
    help="Largest number of Hessian-vector products for each eigenvalue.",
)
@click.option(
    "--probes",
    type=click.IntRange(0, 10**5),
    default=10,
    show_default=True,
    help="Number of random vectors for the spectral density.",
)
@click.option(
    "--steps",
    type=click.IntRange(2, 10**5),
    default=40,
    show_default=True,
    help="Lanczos steps for each random vector.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Seed of the random vectors."
)
@click.option(
    "--escape",
    type=click.IntRange(0, 10**9),
    metavar="UPDATES",
    help="Leave a saddle, and train for this many updates.",
)
@click.option(
    "--trust", is_flag=True, help="Reload an imported run, which calls the code that its configuration names."
)
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(
    run: str,
    checkpoint: str | None,
    split: str,
    samples: int | None,
    decay: bool,
    refine: int,
    dense: int,
    products: int,
    probes: int,
    steps: int,
    seed: int,
    escape: int | None,
    trust: bool,
    outputs: str | None,
) -> None:
    from paribus.base.atomic import write_atomically
    from paribus.config.outputs import store_of
    from paribus.extras.curvature.report import describe, spectrum
    from paribus.report.figures.saving import save

    store = store_of(outputs)
    record = store.find(run)

    from paribus.extras.curvature.analysis import Effort
    from paribus.extras.curvature.recorded import analyse_record

    result = analyse_record(
        record,
        store,
        checkpoint=Path(checkpoint) if checkpoint else None,
        split=split,
        samples=samples,
        decay=decay,
        effort=Effort(refine, 100, dense, products, probes, steps),
        seed=seed,
        escape=escape,
        trust=trust,
    )
    show(describe(result), end="")
    if escape is not None and "escape" not in result:
        show(f"not escaped: the point is not a strict saddle ({result['verdict']})")
    folder = store.run_dir(record.id) / "curvature"
    write_atomically(folder / "curvature.json", json.dumps(result, indent=1))
    for path in (folder / "curvature.json", *save(spectrum(result), folder / "spectrum")):
        say(str(path))

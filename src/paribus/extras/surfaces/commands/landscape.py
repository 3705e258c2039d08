"""The loss landscape of a RUN, or the line from RUN to OTHER.

One run: a line and a plane of filter-normalised random directions around its weights, and its trajectory on its
principal components if it was trained with callbacks=[default,snapshots]. Writes PNG, PDF, JSON and a page that
needs nothing else. Stop it at any time: the same command resumes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from paribus.base.commands import Command, Finite, without_effect
from paribus.base.options import check_folder
from paribus.base.terminal import say, show

SECTION = "Look"


@click.command(cls=Command)
@click.argument("run")
@click.argument("other", required=False)
@click.option(
    "--points",
    type=click.IntRange(3, 1001),
    default=25,
    show_default=True,
    help="Number of points along each axis of a plane.",
)
@click.option(
    "--span", type=Finite(0, 1e6, min_open=True), default=1.0, show_default=True, help="Half the width of the slice."
)
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="train", show_default=True)
@click.option(
    "--samples",
    type=click.IntRange(1, 10**9),
    default=1000,
    show_default=True,
    help="Number of samples over which the loss is averaged.",
)
@click.option(
    "--statistics",
    type=click.Choice(["recomputed", "moving"]),
    default="recomputed",
    show_default=True,
    help="Batch statistics: recomputed from training data at each point, or those of the run's end.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Seed of the random directions."
)
@click.option(
    "--trust", is_flag=True, help="Reload an imported run, which calls the code that its configuration names."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="The folder for the files (default: landscape/ in the folder of the run).",
)
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(run: str, other: str | None, output: str | None, outputs: str | None, trust: bool, **view: Any) -> None:
    from paribus.base.atomic import write_atomically
    from paribus.config.outputs import store_of

    check_folder(output)
    from paribus.extras.surfaces.landscape_figure import describe, figures
    from paribus.extras.surfaces.landscape_page import page
    from paribus.report.figures.saving import save

    store = store_of(outputs)
    record = store.find(run)
    second = store.find(other) if other else None
    for name in ("span", "seed") if second else ():
        without_effect(name, "between two runs, which is one line")

    from paribus.extras.surfaces.landscape import View, interpolation
    from paribus.extras.surfaces.landscape import landscape as look

    asked = View(**view)
    if second:
        result = interpolation(record, second, store, asked, trust=trust)
    else:
        result = look(record, store, asked, trust=trust)
    show(describe(result), end="")
    sys.stdout.flush()
    folder = Path(output) if output else store.run_dir(record.id) / "landscape"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"interpolation-{second.id}" if second else "landscape"
    write_atomically(folder / f"{name}.json", json.dumps(result))
    write_atomically(folder / f"{name}.html", page(result))
    paths = [folder / f"{name}.json", folder / f"{name}.html"]
    for kind, figure in figures(result).items():
        paths += save(figure, folder / (name if second else kind))
    for path in paths:
        say(str(path))

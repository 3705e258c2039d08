"""Every figure of an ablation (ablation=NAME), of the last sweep, or of runs (their ids), with its caption."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.options import check_folder
from paribus.base.terminal import say, show

SECTION = "Look"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Draw only this figure, or figures by a pattern such as 'learning_*'."
)
@click.option(
    "--width", default="column", show_default=True, metavar="column|text|INCHES",
    help="As printed: a column (3.25 inches), all columns (6.75), or so many inches. Type has 7 or 8 points.",
)  # fmt: skip
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(("png", "pdf", "svg")),
    help="Of the pictures; may be given several times. Without it, PNG and PDF.",
)  # fmt: skip
@click.option(
    "--metric", "metrics", multiple=True,
    help="A metric such as test/loss, by which arms are compared; of learning curves, one that is drawn. May be given "
    "several times.",
)  # fmt: skip
@click.option("--mix", multiple=True, help="Allow runs that differ in this: budget, data, world_size, ...")
def command(
    overrides: tuple[str, ...],
    output: str,
    only: tuple[str, ...],
    width: str,
    formats: tuple[str, ...],
    metrics: tuple[str, ...],
    mix: tuple[str, ...],
) -> None:
    check_folder(output)
    from paribus.config.outputs import outputs_folder
    from paribus.report.collect import is_setting
    from paribus.report.figures import named
    from paribus.report.figures.catalogue import Missing
    from paribus.report.figures.saving import save
    from paribus.report.figures.style import inches
    from paribus.store.store import Store

    wide = inches(width)
    names = [item for item in overrides if "=" not in item]
    if names and (others := [item for item in overrides if "=" in item and not is_setting(item)]):
        raise UserError(
            f"{others[0]}: paribus figures takes run ids or an ablation, got both. Drop {names[0]}, or the override"
        )
    for option, given in (("--mix", mix), ("--metric", metrics)):
        if names and given:
            raise UserError(
                f"{option} {given[0]}: {option} has no effect on the figures of a single run. Drop {option}"
            )
    store = Store(outputs_folder([item for item in overrides if "=" in item]))
    known = named.OF_RUNS if names else named.OF_ABLATIONS
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UserError(f"--only names figures, got {pattern}. There are {', '.join(known)}")
    wanted = [name for name in known if not only or any(fnmatchcase(name, pattern) for pattern in only)]
    written = 0
    drawn = (
        named.of_runs(store, names, wanted, wide) if names else named.of_ablation(overrides, wanted, mix, wide, metrics)
    )
    for stem, figure in drawn:
        if isinstance(figure, Missing):
            say(f"left out: {stem}: {figure.reason}")
            continue
        for path in save(figure, Path(output) / stem, formats or ("png", "pdf")):
            show(str(path))
        written += 1
    if not written:
        raise UserError("no figure could be drawn; the reasons are given above")

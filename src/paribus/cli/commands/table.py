"""The table of an ablation (ablation=NAME) with the verdicts on its hypotheses, or of the last sweep."""

from __future__ import annotations

import json
from typing import Any

import click

from paribus.base.commands import Command, without_effect
from paribus.base.errors import UserError
from paribus.base.memory import uncollected
from paribus.base.options import FORMAT, JSON, OUTPUT, format_of, show_json, write

SECTION = "Look"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@FORMAT
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="A metric such as test/acc. May be given several times; the first one compares the arms.",
)
@click.option(
    "--columns",
    default="",
    help="Names separated by commas: of metrics (test/acc), difference, p, sign_flip, d_z, improvement, "
    "practical, detectable, tuned, n, diverged, collapsed, at_chance.",
)
@click.option("--spread", default="sd", help="The number after ±: sd, or interval (half the 95 % interval).")
@click.option(
    "--grid", help="ROWS,COLUMNS: two factors; none: a row for each arm (default: a grid if the design is one)."
)
@click.option("--baseline", help="The arm with which others are compared (default: that of the ablation).")
@click.option("--sort", is_flag=True, help="Put the best arm first.")
@click.option("--by", multiple=True, help="Keys whose values make the rows (without an ablation).")
@click.option("--mix", multiple=True, help="Allow runs that differ in this: budget, data, world_size, ...")
@click.option(
    "--width",
    type=click.Choice(["column", "full"]),
    help="Of LaTeX: as wide as one of two columns (default), or as both of them.",
)
@click.option(
    "--heat",
    is_flag=True,
    help=r"Of LaTeX: shade the numbers of a grid, the best darkest. Needs \usepackage[table]{xcolor}.",
)
@click.option(
    "--notes",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Of LaTeX: write what stands below the tables to this file instead.",
)
@OUTPUT
@JSON
@uncollected()
def command(
    overrides: tuple[str, ...], form: str | None, metrics: tuple[str, ...], columns: str, grid: str | None,
    by: tuple[str, ...], output: str | None, width: str | None, heat: bool, notes: str | None,
    as_json: bool, **asked: Any,
) -> None:  # fmt: skip
    from paribus.report.tables.asked import tables
    from paribus.report.tables.latex import has_shades
    from paribus.report.tables.trace import SUFFIX

    if as_json:
        for name in ("form", "spread", "grid", "sort", "width", "heat", "notes", "output", "columns"):
            without_effect(name, "on --json, which prints all numbers of each arm")
        found = tables(overrides, metrics, by, **asked)
        return show_json(found.content())
    form = format_of(form, output)
    if form == "csv":
        for name in ("spread", "grid", "sort"):
            without_effect(name, "on --format csv, which has a line for each arm with all its numbers")
    if form != "latex":
        for name in ("width", "heat", "notes"):
            without_effect(name, f"on --format {form}")
    places = None if grid is None else tuple(grid.split(",")) if grid != "none" else ()
    named = tuple(name.strip() for name in columns.split(",") if name.strip())
    found = tables(overrides, metrics, by, columns=named, grid=places, **asked)
    if heat and not any(map(has_shades, found.sheets)):
        raise UserError(
            "--heat shades a grid of two factors, and this is a table with a row for each arm. Name the factors with "
            "--grid ROWS,COLUMNS, or leave --heat out"
        )
    trace = output is not None and form in ("markdown", "latex", "html")
    traces: dict[str, Any] = {}
    text = found.text(form, trace, width=width or "column", notes=notes is None, heat=heat, traces=traces)
    write(text, output, styled=form == "terminal")
    if trace:
        write(json.dumps(traces, separators=(",", ":")) + "\n", f"{output}{SUFFIX}")
    if notes is not None:
        write(found.notes(width or "column", heat), notes)

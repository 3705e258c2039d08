"""The claims of your ablations: effect, verdict, literature. Those of the lecture notes: paribus claims notes."""

from __future__ import annotations

import click

from paribus.base.commands import Command, without_effect
from paribus.base.options import FORMAT, JSON, OUTPUT, format_of, show_json, write

SECTION = "Look"


@click.command(cls=Command)
@click.argument("ablations", nargs=-1)
@FORMAT
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    help="Only claims whose id begins with this, such as 1.3. May be given several times.",
)
@click.option("--run", is_flag=True, help="First train and check what is missing. The same command resumes it.")
@click.option(
    "--results", type=click.Path(dir_okay=False), help="Show the claims of this file, such as results/records.json.xz."
)
@OUTPUT
@JSON
def command(
    ablations: tuple[str, ...],
    form: str | None,
    only: tuple[str, ...],
    run: bool,
    results: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    from paribus.notes import scoreboard as by_section
    from paribus.notes.claimed import claimed
    from paribus.report import scoreboard
    from paribus.report.tables.table import RENDER

    if as_json:
        for name in ("form", "output"):
            without_effect(name, "on --json")
        return show_json([each.content() for each in claimed(ablations, only, run, results)])
    form = format_of(form, output)
    found = claimed(ablations, only, run, results)
    if form == "csv":
        return write(scoreboard.csv_text(found), output)
    own = [line for line in found if not line.section]
    sheets = [*scoreboard.sheets(own), *by_section.sheets([line for line in found if line.section])]
    write("\n".join(RENDER[form](sheet, heading=True) for sheet in sheets), output, styled=form == "terminal")

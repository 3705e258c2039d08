"""List runs: all, or those with e.g. norm=batch,group status=done arm='b*' optimizer.lr=0.1."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("filters", nargs=-1)
@click.option("--newer", metavar="SPAN", help="Show runs created within 12h, 2d, ...")
@click.option("--older", metavar="SPAN", help="Show runs created longer ago than 12h, 2d, ...")
@click.option(
    "--sort", "by", metavar="KEY", help="Sort by age, test/acc, optimizer.lr, ...; -KEY puts the largest first."
)
@click.option("-n", "--limit", type=click.IntRange(1, 10**9), help="Show only this many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    filters: tuple[str, ...], newer: str | None, older: str | None, by: str | None, limit: int | None, as_json: bool
) -> None:
    from paribus.cli.runs import list_runs

    list_runs(filters, newer, older, by, limit, as_json)

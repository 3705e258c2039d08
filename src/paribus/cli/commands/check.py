"""Check option files of yours: each is composed, built, trained on a few samples, resumed and stacked."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.options import JSON, show_json
from paribus.base.terminal import say, show

SECTION = "Begin"


@click.command(cls=Command)
@click.argument("files", nargs=-1)
@JSON
def command(files: tuple[str, ...], as_json: bool) -> None:
    from paribus.config.composer import Composer
    from paribus.conformance.options import options
    from paribus.conformance.steps import check
    from paribus.conformance.table import text

    composer = Composer()
    overrides = [word for word in files if "=" in word]
    found = []
    for option in options([word for word in files if "=" not in word], composer):
        say(f"checking {option}")
        found.append(check(option, overrides, composer))
    if as_json:
        show_json([each.content() for each in found])
    else:
        show(text(found))
    if failed := [str(each.option) for each in found if each.faults]:
        raise UserError(f"{len(failed)} of {len(found)} options can't be used as they are: {', '.join(failed)}")

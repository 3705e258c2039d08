"""Look at this installation and machine: versions, devices, folders, W&B, and what is wrong with them."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Begin"


@click.command(cls=Command)
@JSON
def command(as_json: bool) -> None:
    from dataclasses import asdict

    from paribus.conformance.machine import examine

    found = []
    for each in examine():
        found.append(each)
        if not as_json:
            show(f"{'!!' if each.wrong else 'ok'}  {each.subject:<13}  {each.found}")
            if each.wrong:
                show(f"    {'':<13}  {each.wrong}")
    if as_json:
        show_json([asdict(each) for each in found])
    if wrong := [each.subject for each in found if each.wrong]:
        raise UserError(f"something is wrong with {', '.join(wrong)}")

"""Trials of a search: the best, the Pareto front, what explains the results. Without a name, lists the searches.

Reads what a search by Optuna has stored: in the outputs folder, or at --storage URL. optuna-dashboard opens the same.
"""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Look"


@click.command(cls=Command)
@click.argument("study", required=False)
@click.option("--storage", metavar="URL", help="The database, where it is not searches.db in the outputs folder.")
@JSON
def command(study: str | None, storage: str | None, as_json: bool) -> None:
    from paribus.config.outputs import outputs_folder
    from paribus.extras.search.stored import default_storage, listed, stored, text

    place = storage or default_storage(outputs_folder())
    if study is None:
        found = listed(place)
        show_json(found) if as_json else show("\n".join(f"{each['study']}: {each['text']}" for each in found))
        return
    content = stored(place, study)
    show_json(content) if as_json else show(text(content))

"""`paribus export`: all runs, or those of an ablation, as CSV or parquet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from paribus.base.errors import UserError
from paribus.base.terminal import say
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.extras.exchange.export import LONG, columns_of, form_of, history_lines, run_line, write_lines
from paribus.report.collect import chosen
from paribus.store.store import Store

PROGRESS_SECONDS = 5.0


def export(overrides: Sequence[str], output: str, histories: bool) -> None:
    path = Path(output)
    form_of(path)  # before anything is read
    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    records = chosen(store, overrides, composer)
    if not records:
        raise UserError(f"there is no record in {store.runs} to export. Train first: paribus train ...")
    if histories:
        damaged: list[str] = []
        ids = progress([record.id for record in records])
        count = write_lines(history_lines(store, ids, damaged), LONG, path)
        for line in damaged:
            say(f"note: left out: {line}")
        say(f"{path}: {count} values of {len(records) - len(damaged)} runs")
        return
    lines = [run_line(record) for record in records]
    columns = columns_of(lines)
    say(f"{path}: {write_lines(lines, columns, path)} runs, {len(columns)} columns")


def progress(ids: Sequence[str]) -> Iterator[str]:
    """The ids; says every few seconds how many have been taken, and how long the others will take."""
    started = shown = time.monotonic()
    for number, id in enumerate(ids):
        if (now := time.monotonic()) - shown > PROGRESS_SECONDS:
            shown = now
            say(f"{number} of {len(ids)} runs, about {(now - started) / number * (len(ids) - number):.0f} s left")
        yield id

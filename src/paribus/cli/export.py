"""`paribus export`: all runs, or those of an ablation, as CSV or parquet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from paribus.cli.reports import collect, names_ablation, only_settings
from paribus.errors import UserError
from paribus.plan.composer import Composer
from paribus.plan.outputs import outputs_folder
from paribus.report.export import LONG, columns_of, form_of, history_lines, run_line, write_lines
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.terminal import say

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


def chosen(store: Store, overrides: Sequence[str], composer: Composer) -> list[Record]:
    """All records, or those of an ablation with its tuning runs."""
    if not names_ablation(overrides):
        only_settings(overrides, "All runs are taken; some of them are listed by paribus runs KEY=VALUE")
        return list(store.scan())
    found: dict[str, Record] = {}
    for each in collect(overrides, composer=composer):
        cells = each.plan.cells if each.plan else []
        present = [record for cell in cells if (record := store.read(cell.id)) is not None]
        present += [record for arm in each.arms.values() for record in arm if record is not None]
        found |= {record.id: record for record in present}
    return list(found.values())


def progress(ids: Sequence[str]) -> Iterator[str]:
    """The ids; says every few seconds how many have been taken, and how long the others will take."""
    started = shown = time.monotonic()
    for number, id in enumerate(ids):
        if (now := time.monotonic()) - shown > PROGRESS_SECONDS:
            shown = now
            say(f"{number} of {len(ids)} runs, about {(now - started) / number * (len(ids) - number):.0f} s left")
        yield id

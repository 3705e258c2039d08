"""The figures of an ablation, a sweep or runs, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from paribus.report.collect import studies
from paribus.report.figures import catalogue
from paribus.report.figures.catalogue import Drawn
from paribus.report.figures.style import COLUMN
from paribus.store.record import Record
from paribus.store.store import Store

OF_ABLATIONS = (*catalogue.FIGURES, *catalogue.OF_STUDIES)
OF_RUNS = (*catalogue.RUN_FIGURES,)


def of_ablation(
    overrides: Sequence[str],
    wanted: Sequence[str],
    mix: Sequence[str],
    width: float = COLUMN,
    metrics: Sequence[str] = (),
) -> Iterator[tuple[str, Drawn]]:
    """The figures of what a command line names, one at a time, each with the name of its file. width: in inches.

    metrics: of learning curves, those that are drawn; of all other figures, the first is what arms are compared by.
    """
    compared = () if set(wanted) <= set(catalogue.CURVES) else metrics
    found = studies(overrides, mix, metrics=compared)
    for number, each in enumerate(found):
        part = each.regime or (f"{number + 1}" if number else "")
        suffix = f"-{file_name(part)}" if part else ""
        for name, figure in catalogue.of_study(each, [n for n in wanted if n in catalogue.FIGURES], width, metrics):
            yield name + suffix, figure
    for name in catalogue.OF_STUDIES:
        if name in wanted:
            yield name, catalogue.OF_STUDIES[name](found[0].name.partition(" [")[0], found, width)


def of_runs(
    store: Store, names: Sequence[str], wanted: Sequence[str], width: float = COLUMN
) -> Iterator[tuple[str, Drawn]]:
    """The figures of runs, one at a time, each with the name of its file."""
    for name in names:
        record = store.find(name)
        for stem, figure in catalogue.of_run(title_of(record), store.history(record.id), record.known, width):
            if stem in wanted:
                yield f"{record.id}-{stem}", figure


def title_of(record: Record) -> str:
    """What the figures of a run are headed with."""
    return f"{record.arm or 'run'}, seed {record.seed} ({record.id})"


def file_name(name: str) -> str:
    """Letters and digits of a name, for a file."""
    return re.sub(r"[^\w.]+", "_", name).strip("_.")[:60] or "unnamed"

"""`paribus figures`: pictures of an ablation, a sweep or a run, and why some of them are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.errors import UserError
from paribus.plan.outputs import outputs_folder
from paribus.report.collect import is_setting, studies
from paribus.store.store import Store
from paribus.terminal import say, show

if TYPE_CHECKING:
    from paribus.report.figures.catalogue import Drawn


def write_figures(overrides: Sequence[str], output: str, only: Sequence[str], mix: Sequence[str]) -> None:
    """Write every figure that the records support as PDF and PNG below `output`.

    only: names, or patterns such as 'learning_*'. Raises UserError for an unknown one, and where nothing is drawn.
    """
    from paribus.report.figures import catalogue, save

    names = [item for item in overrides if "=" not in item]
    if names and (others := [item for item in overrides if "=" in item and not is_setting(item)]):
        raise UserError(
            f"{others[0]}: figures are of runs or of an ablation, got both. Drop {names[0]}, or the override"
        )
    if names and mix:
        raise UserError(f"--mix {mix[0]}: a run has figures of its own, and mixes with none. Drop --mix")
    store = Store(outputs_folder([item for item in overrides if "=" in item]))
    known = [*catalogue.RUN_FIGURES] if names else [*catalogue.FIGURES, catalogue.REGIMES]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UserError(f"--only names figures, got {pattern}. There are {', '.join(known)}")
    wanted = [name for name in known if not only or any(fnmatchcase(name, pattern) for pattern in only)]
    written = 0
    drawn = _of_runs(store, names, wanted) if names else _of_ablation(store, overrides, wanted, mix)
    for stem, figure in drawn:
        if isinstance(figure, catalogue.Missing):
            say(f"left out: {stem}: {figure.reason}")
            continue
        for path in save(figure, Path(output) / stem):
            show(str(path))
        written += 1
    if not written:
        raise UserError("no figure could be drawn; the reasons stand above. Train runs first: paribus train -m ...")


def _of_ablation(
    store: Store, overrides: Sequence[str], wanted: Sequence[str], mix: Sequence[str]
) -> Iterator[tuple[str, Drawn]]:
    from paribus.report.figures import catalogue

    found = studies(overrides, mix)
    for number, each in enumerate(found):
        part = each.regime or (f"{number + 1}" if number else "")
        suffix = f"-{file_name(part)}" if part else ""
        for name, figure in catalogue.of_study(each, [n for n in wanted if n != catalogue.REGIMES]):
            yield name + suffix, figure
    if catalogue.REGIMES in wanted:
        yield catalogue.REGIMES, catalogue.of_regimes(found[0].name.partition(" [")[0], found)


def _of_runs(store: Store, names: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[str, Drawn]]:
    from paribus.report.figures import catalogue

    for name in names:
        record = store.find(name)
        title = f"{record.arm or 'run'}, seed {record.seed} ({record.id})"
        for stem, figure in catalogue.of_run(title, store.history(record.id)):
            if stem in wanted:
                yield f"{record.id}-{stem}", figure


def file_name(name: str) -> str:
    """Letters and digits of a name, for a file."""
    return re.sub(r"[^\w.]+", "_", name).strip("_.")[:60] or "unnamed"

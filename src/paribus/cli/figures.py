"""`paribus figures`: pictures of an ablation, a sweep or a run, and why some of them are left out."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from paribus.ablation.outputs import outputs_folder
from paribus.base.errors import UserError
from paribus.base.terminal import say, show
from paribus.report.collect import is_setting
from paribus.store.store import Store


def write_figures(overrides: Sequence[str], output: str, only: Sequence[str], mix: Sequence[str]) -> None:
    """Write every figure that the records support as PDF and PNG below `output`.

    only: names, or patterns such as 'learning_*'. Raises UserError for an unknown one, and where nothing is drawn.
    """
    from paribus.report.figures import named
    from paribus.report.figures.catalogue import Missing
    from paribus.report.figures.saving import save

    names = [item for item in overrides if "=" not in item]
    if names and (others := [item for item in overrides if "=" in item and not is_setting(item)]):
        raise UserError(
            f"{others[0]}: paribus figures takes run ids or an ablation, got both. Drop {names[0]}, or the override"
        )
    if names and mix:
        raise UserError(f"--mix {mix[0]}: --mix has no effect on the figures of a single run. Drop --mix")
    store = Store(outputs_folder([item for item in overrides if "=" in item]))
    known = named.OF_RUNS if names else named.OF_ABLATIONS
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UserError(f"--only names figures, got {pattern}. There are {', '.join(known)}")
    wanted = [name for name in known if not only or any(fnmatchcase(name, pattern) for pattern in only)]
    written = 0
    drawn = named.of_runs(store, names, wanted) if names else named.of_ablation(overrides, wanted, mix)
    for stem, figure in drawn:
        if isinstance(figure, Missing):
            say(f"left out: {stem}: {figure.reason}")
            continue
        for path in save(figure, Path(output) / stem):
            show(str(path))
        written += 1
    if not written:
        raise UserError("no figure could be drawn; the reasons are given above")

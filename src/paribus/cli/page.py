"""`paribus report`: an ablation as one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from paribus.cli.figures import studies
from paribus.cli.reports import outputs_folder, write
from paribus.store.store import Store


def write_page(overrides: Sequence[str], output: str, by: Sequence[str], mix: Sequence[str]) -> None:
    from paribus.report.page.render import page
    from paribus.report.study import need_runs
    from paribus.report.verdicts import claims

    found = studies(overrides, mix, by)
    need_runs(found)
    plans = [each.plan for each in found if each.plan is not None]
    said = claims(plans, Store(outputs_folder(overrides)).read)
    name = found[0].ablation.name if found[0].ablation else found[0].name
    write(page(name, found, said, shlex.join(["paribus", "train", "-m", *overrides])), output)

"""The page of a command line: written once, or served and kept up to date."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.evidence.status import progress
from paribus.report.collect import studies
from paribus.report.page.render import Live, page
from paribus.report.progress import left, said
from paribus.report.study import Study, need_runs
from paribus.report.verdicts import claims
from paribus.store.reader import Reader
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.report.page.serve import Watcher


def page_of(overrides: Sequence[str], by: Sequence[str], mix: Sequence[str]) -> str:
    """The report. Raises UserError while no run is done."""
    composer = Composer()
    found = studies(overrides, mix, by, composer)
    need_runs(found)
    return _page(overrides, found, Store(outputs_folder(overrides, composer)))


def watcher(overrides: Sequence[str], port: int, by: Sequence[str], mix: Sequence[str]) -> Watcher:
    """A server of the report, which builds it again when records change."""
    from paribus.report.page.serve import Built, Watcher  # a page that is only written needs no web server

    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    found: list[Study] = []

    def build() -> Built:
        found[:] = studies(overrides, mix, by, composer)
        live = _live(found, store)
        return Built(_page(overrides, found, store, live), live)

    def stamps() -> object:
        return [_stamp(store, id) for id in _ids(found)]

    return Watcher(build, stamps, port)


def _page(overrides: Sequence[str], found: Sequence[Study], store: Store, live: Live | None = None) -> str:
    claimed = [each for each in found if each.ablation and each.ablation.hypotheses]
    verdicts = claims([each.plan for each in claimed], Reader(store), known=[each.findings for each in claimed])
    names = dict.fromkeys(each.ablation.name if each.ablation else each.name for each in found)
    return page(" and ".join(names), found, verdicts, shlex.join(["paribus", "train", "-m", *overrides]), live)


def _live(found: Sequence[Study], store: Store) -> Live:
    parts = [progress(each.plan, store) for each in found]
    counts = [(sum(p.total.values()) + sum(p.waiting.values()), p.total) for p in parts]
    text = "; ".join(
        (f"{p.name}: " if len(parts) > 1 else "") + said(p.total, sum(p.waiting.values())) + left(p) for p in parts
    )
    done = sum(total.get("done", 0) + total.get("diverged", 0) for _, total in counts)
    version = hashlib.sha256(repr([_stamp(store, id) for id in _ids(found)]).encode()).hexdigest()[:16]
    return Live(done, sum(count for count, _ in counts), text, version)


def _ids(found: Sequence[Study]) -> list[str]:
    return list(dict.fromkeys(cell.id for each in found for cell in each.plan.cells))


def _stamp(store: Store, id: str) -> tuple[int, ...]:
    """Changes whenever the run writes something that the page shows."""
    stamp: list[int] = []
    for name in ("record.json", "history.csv"):
        try:
            status = os.stat(store.run_dir(id) / name)
            stamp += [status.st_mtime_ns, status.st_size]
        except OSError:
            stamp += [0, 0]
    return tuple(stamp)

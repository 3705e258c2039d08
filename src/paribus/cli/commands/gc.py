"""Remove checkpoints of runs that no ablation file and no recent sweep needs; never a record."""

from __future__ import annotations

import math
import sys

import click

from paribus.base.commands import Command, without_effect
from paribus.base.durations import duration, in_seconds, seconds_since
from paribus.base.errors import UserError
from paribus.base.terminal import show

SECTION = "Keep and share"


@click.command(cls=Command)
@click.option(
    "--recent",
    metavar="SPAN",
    default="14d",
    show_default=True,
    help="Keep runs and sweeps that are younger than this.",
)
@click.option(
    "--keep",
    metavar="MB",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Keep the weights that a finished run was tested with where they take at most this many megabytes: further "
    "metrics can be computed from them (paribus evaluate --metrics). 0 keeps none.",
)
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(recent: str, keep: float, dry_run: bool, yes: bool, outputs: str | None) -> None:
    from paribus.config.outputs import store_of
    from paribus.evidence.needed import needed_by_ablations, needed_by_sweeps
    from paribus.store.space import remove, unneeded

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
    seconds = in_seconds(recent)
    store = store_of(outputs)
    by_ablation = needed_by_ablations(store)
    needed = set().union(*by_ablation.values()) | needed_by_sweeps(store, seconds)
    found = unneeded(store, needed, seconds, keep * 1e6)
    if not found:
        show("every checkpoint is needed by an ablation file, or is recent")
        return
    for each in found:
        age = seconds_since(each.record.finished or each.record.created) or math.inf
        whose = " ".join(filter(None, (each.record.ablation, each.record.arm)))
        show(f"{each.record.id}  {size(each.size):>9}  {each.state}, {duration(age)} old  {whose}".rstrip())
    total = size(sum(each.size for each in found))
    show(
        f"{len(found)} runs, {total}: in no ablation file ({', '.join(by_ablation)}) and no sweep of the last {recent}"
    )
    if any(each.state == "interrupted" for each in found):
        show("interrupted runs start from the beginning without their checkpoints")
    if kept := [each.kept for each in found if each.kept]:
        show(f"the final weights of {len(kept)} of them stay ({size(sum(kept))} more), since they are small (--keep)")
    if lost := sum(each.loses_weights for each in found):
        show(
            f"finished runs that lose their weights: {lost}. Curvature, landscape and further metrics (evaluate "
            "--metrics) can't be computed for them without training again"
        )
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(
                "gc asks before it removes anything, and nobody can answer here. Add --yes, or --dry-run to look only"
            )
        if not click.confirm(f"Remove their checkpoints ({total})? Records, histories and configurations stay"):
            return
    removed = [each for each in found if remove(store, each)]
    for each in found:
        if each not in removed:
            show(f"{each.record.id} is being trained again, so its checkpoints are kept")
    show(f"removed the checkpoints of {len(removed)} runs, {size(sum(each.size for each in removed))}")


def size(amount: float) -> str:
    """1.2 MB, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"

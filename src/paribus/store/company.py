"""The company of runs in training: what else their machine did, which decides whether their times can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from paribus.store.record import Record

DURATIONS = (
    "ms_per_update", "seconds_per_epoch", "samples_per_second", "fit_seconds", "update_seconds", "total_seconds",
)  # fmt: skip


def why_not_timed(records: Sequence[Record | None]) -> str | None:
    """Why the times of these runs can't be compared; None where each was measured alone and all on one machine.

    The time of a run in a stack is a share of the stack's. Runs beside each other are found by when they began and
    ended; other programs leave no trace in records.
    """
    runs = [run for run in records if run is not None and run.has_result]
    hardware = [run.provenance.get("hardware") or {} for run in runs]
    machines = dict.fromkeys(f"{each.get('cpu')}, {each.get('device')}, {each.get('cores')} cores" for each in hardware)
    if len(machines) > 1:
        return f"they were measured on different machines ({'; '.join(machines)})"
    if stacked := sum(run.timing.get("stack", 1) > 1 for run in runs):
        return f"{stacked} of {len(runs)} runs were trained in stacks, and have a share of the time of their stack"
    spans = sorted((run.created, run.finished) for run in runs if run.created and run.finished)
    beside, latest = 0, ""
    for created, finished in spans:  # ISO 8601 in UTC, so that the order of the words is that of time
        beside += created < latest
        latest = max(latest, finished)
    return f"{beside} of {len(runs)} runs were trained while another one was" if beside else None

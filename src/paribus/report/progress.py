"""The status of an ablation in words, for the terminal and the page that is served."""

from __future__ import annotations

from collections import Counter

from paribus.base.durations import duration
from paribus.evidence.status import STATES, Progress


def text(found: Progress) -> str:
    """The status of one regime, for people."""
    total = sum(found.total.values()) + sum(found.waiting.values())
    lines = [f"{found.name}: {said(found.total, sum(found.waiting.values()))} of {total} runs{left(found)}"]
    width = max((len(arm) for arm in found.arms), default=0)
    for arm in dict.fromkeys([*found.arms, *found.waiting]):
        purposes = found.arms.get(arm, {})
        parts = [
            ("tuning: " if purpose == "tune" else "") + said(purposes[purpose])
            for purpose in ("tune", "report", "kept")
            if purpose in purposes
        ]
        if arm in found.waiting:
            parts.append(f"{found.waiting[arm]} waiting for tuning")
        lines.append(f"  {arm or 'all runs':{width}}  {'; '.join(parts)}")
    if found.running:
        lines.append("running:")
    for run in found.running:
        where = [f"for {duration(run.seconds)}"]
        where += [f"epoch {run.epoch:g}"] if run.epoch is not None else ["no epoch written yet"]
        where += [f"update {run.step}"] if run.step is not None else []
        where += [f"{run.fraction:.0%}"] if run.fraction is not None else []
        lines.append(f"  {run.id}  {run.arm} seed {run.seed}: {', '.join(where)}")
    for kind, count in Counter(failure.type for failure in found.failures).most_common():
        lines.append(f"failed, {kind}: {count}")
        for failure in found.failures:
            if failure.type == kind:
                lines.append(f"  {failure.arm} seed {failure.seed}: {failure.message}  ({failure.folder})")
    return "\n".join(lines)


def said(counts: dict[str, int], waiting: int = 0) -> str:
    parts = [f"{counts[state]} {state}" for state in STATES if counts.get(state)]
    parts += [f"{waiting} waiting for tuning"] if waiting else []
    return ", ".join(parts) or "nothing to train"


def left(found: Progress) -> str:
    if found.seconds_left == 0.0:
        return ""
    if found.seconds_left is None:
        return "; the time left is known when the first run is done"
    at_a_time = max(len(found.running), 1)
    return f"; about {duration(found.seconds_left)} left with {at_a_time} at a time"

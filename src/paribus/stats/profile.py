"""Performance profiles: how often an arm is within a factor of the fastest, over several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def performance_ratios(times: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    r"""arm -> (tasks,): $r_{at} = T_{at} / \min_{a'} T_{a't}$, 1 for the fastest arm of a task.

    The performance profile of an arm is the share of tasks with $r \le \tau$, against $\tau$: at 1 how often it is the
    fastest, far to the right how often it gets there at all.

    times: arm -> (tasks,), positive; infinite where it does not reach the target. A task that no arm reaches counts
        against all of them.

    Raises ValueError unless all arms have the same tasks and times are positive.

    Sources: Dolan & More 2002; Dahl et al. 2023, "Benchmarking neural network training algorithms", for times to
    targets.
    """
    if len({len(of) for of in times.values()}) > 1:
        raise ValueError(f"arms are compared on the same tasks, got {', '.join(str(len(of)) for of in times.values())}")
    table = np.array(list(times.values()), dtype=float).reshape(len(times), -1)
    if not (table > 0).all():
        raise ValueError(f"times are positive, got {table[~(table > 0)][0]}. An arm that never gets there has inf")
    best = table.min(axis=0, initial=np.inf)
    ratios = np.where(np.isfinite(table), table / np.where(np.isfinite(best), best, 1.0), np.inf)
    return dict(zip(times, ratios.tolist(), strict=True))

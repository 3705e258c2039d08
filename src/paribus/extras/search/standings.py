"""The standings of a search: the trials that a new one is judged against, in a file for the process that trains it.

A trial is judged against the trials that were told before its batch began, by Optuna's pruner, in the process that
trains it: no database is needed there, whatever machine it is, and the same search prunes the same trials.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from paribus.base.atomic import write_atomically
from paribus.extras.search.study import Study
from paribus.extras.search.variable import PRUNING
from paribus.store.record import Record


@contextmanager
def judged(study: Study, runs: Mapping[str, int], file: Path) -> Iterator[None]:
    """Within it, processes that train these runs (id -> trial) prune them.

    The processes find the file by their environment, which all launchers hand on: it is no part of a run.
    """
    trials = [
        {
            "state": trial.state.name,
            "values": trial.values,
            "curve": list(trial.intermediate_values.items()),
            "notes": {key: value for key, value in trial.system_attrs.items() if key.startswith("completed_rung_")},
        }
        for trial in study.trials()
    ]
    content = {
        "study": study.name,
        "objective": study.objectives[0],
        "direction": study.directions[0].name.lower(),
        "pruner": dict(study.pruner),
        "runs": dict(runs),
        "trials": trials,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(content), "any")
    os.environ[PRUNING] = str(file.absolute())
    try:
        yield
    finally:
        del os.environ[PRUNING]


def curve_of(history: Mapping[str, Sequence[float]], objective: str) -> dict[int, float]:
    """epoch -> value of the validations of a history."""
    rows = zip(history.get("epoch", ()), history.get(objective, ()), strict=False)
    return {int(epoch): value for epoch, value in rows if value == value}


def pruned_by(record: Record | None, study: str) -> bool:
    """Whether a record says that this study has pruned its run."""
    return record is not None and record.status == "pruned" and (record.failure or {}).get("study") == study

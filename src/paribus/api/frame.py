"""Records as a DataFrame of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paribus.evidence.arms import varied
from paribus.store.query import Run

if TYPE_CHECKING:
    import pandas as pd


def frame(runs: Sequence[Run]) -> pd.DataFrame:
    """A row for each run, in order.

    Columns: id, status (interrupted where nobody trains a run that says running), ablation, arm, seed; the choices in
    which the runs differ, seeds apart; parameters; metrics, as recorded (accuracies are fractions); times in seconds or
    as their names say; created and finished, in UTC. A value that a run lacks is missing.
    """
    import pandas as pd

    records = [run.record for run in runs]
    choices = varied(records)
    metrics = dict.fromkeys(name for record in records for name in record.metrics)
    times = dict.fromkeys(name for record in records for name in record.timing)
    columns = dict.fromkeys(("id", "status", "ablation", "arm", "seed", *choices, "parameters", *metrics, *times))
    rows = [[_plain(run.value(column)) for column in columns] for run in runs]
    found = pd.DataFrame(rows, columns=pd.Index(columns, dtype=object))
    for name in ("created", "finished"):
        found[name] = pd.to_datetime([getattr(record, name) for record in records], utc=True)
    return found


def _plain(value: Any) -> Any:
    """Lists as text, so that rows can be grouped by them."""
    return str(value) if isinstance(value, list | dict) else value

"""Reuse of a record: allowed while its sources, files and data are still those that it was trained with.

A finished run whose inputs have changed is not used silently, and an interrupted one does not go on with other code.
"""

from __future__ import annotations

from paribus.ablation.changes import changed_inputs, moved_data
from paribus.ablation.inputs import Inputs, is_open
from paribus.base.errors import UserError
from paribus.config.run import Run
from paribus.store.record import Record
from paribus.store.store import Store


def usable(record: Record, run: Run, store: Store) -> tuple[bool, str]:
    """Whether the run may be taken as it stands (finished, or to go on from its checkpoint), and a remark about it.

    Where its inputs have changed, on_change decides: reuse takes it, retrain puts its folder aside.

    Raises UserError for a run that has changed, where nothing was decided.
    """
    finished = record.has_result
    now = Inputs(store.root)(run)
    what, remark = changed_inputs(record, now, run), ""
    if not what and finished and (is_open(run) or moved_data(record, now, run)):
        what, remark = changed_data(record, run)
    if not what:
        return True, remark
    said, reaction = " and ".join(what), run.on_change
    begun = finished or (store.run_dir(record.id) / "checkpoints" / "last.ckpt").exists()
    if begun and reaction == "reuse":
        return True, f"{said} changed since, but it is used nevertheless (on_change=reuse)"
    if begun and reaction == "stop":
        state = f"is {record.status} already" if finished else "was interrupted"
        raise UserError(
            f"{record.id} {state}, and {said} changed since. Train it again with on_change=retrain (its folder is kept "
            f"in {store.root / 'replaced'}), or {'use its result' if finished else 'go on'} with on_change=reuse"
        )
    store.replace(record.id)
    return False, f"{said} changed since, so it is trained from the beginning"


def changed_data(record: Record, run: Run) -> tuple[list[str], str]:
    """(what has changed, a remark), from the fingerprint of the data, which are loaded for it."""
    if not (then := record.comparable.get("data")):
        return [], ""
    from paribus.run import build

    try:
        now = build.build_data(run, build.build_setting(run)).splits.fingerprint
    except UserError as error:
        return [], f"whether its data are still the same is not known: {error}"
    return ([], "") if now == then else ([f"the data (fingerprint {now} now, {then} then)"], "")

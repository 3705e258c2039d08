"""The runs that ablation files and recent sweeps consist of."""

from __future__ import annotations

import json
import time

from paribus.ablation.ablation_files import all_names
from paribus.base.errors import UserError
from paribus.config.composer import Composer
from paribus.evidence.plans import plans_of
from paribus.store.store import Store


def needed_by_ablations(store: Store) -> dict[str, set[str]]:
    """The ids of the runs of each file in conf/ablation, the project's and the user's own, tuning included.

    Raises UserError for a file that can't be planned: which runs it needs is unknown then.
    """
    composer = Composer()
    needed = {}
    for name in all_names():
        try:
            plans = plans_of([f"ablation={name}"], store.read, composer)
        except UserError as error:
            raise UserError(
                f"which runs ablation={name} needs is unknown: {error}. Correct or move the file"
            ) from error
        needed[name] = {cell.id for plan in plans for cell in plan.cells}
    return needed


def needed_by_sweeps(store: Store, seconds: float) -> set[str]:
    """The ids of the runs of all sweeps of the last `seconds`."""
    needed: set[str] = set()
    for path in (store.root / "sweeps").glob("*/sweep.json"):
        if time.time() - path.stat().st_mtime > seconds:
            continue
        for plan in json.loads(path.read_text())["plans"]:
            needed.update(id for ids in plan["arms"].values() for id in ids)
            needed.update(plan.get("tuning", ()), plan.get("kept", ()))
    return needed

"""`paribus import`: other tools' runs become records, and the newest sweep, so that `paribus table` shows them.

Results of Paribus itself that were packed elsewhere become records as well: nothing of them is trained again.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically
from paribus.base.errors import UserError
from paribus.base.terminal import say
from paribus.evidence.arms import ReportError, arms_by
from paribus.extras.exchange.adopted import Adopted, Adoption, write
from paribus.store.names import PACKED
from paribus.store.retired import read_retired, why_retired
from paribus.store.store import Store


def adopt(source: str, by: Sequence[str], outputs: Path, wait: float) -> None:
    if source.endswith(PACKED):
        return adopt_packed(Path(source), Store(outputs))
    if source.startswith("wandb:"):
        from paribus.extras.exchange.wandb_runs import adopt_wandb

        adoption = adopt_wandb(source.removeprefix("wandb:"), wait, progress)
    else:
        from paribus.extras.exchange.hydra_runs import adopt_hydra

        adoption = adopt_hydra(_folder(source), progress)
    for note in adoption.notes:
        say(f"note: {note}")
    if not adoption.runs:
        raise UserError(f"nothing in {source} could be imported; the notes above give the reasons")
    store = Store(outputs)
    plans, unclear = sweeps(adoption, by)
    for run in adoption.runs:
        with store.lock(run.record.id):
            write(store, run)
    folder = store.root / "sweeps" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-import"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "sweep.json", json.dumps({"plans": plans}, indent=1))
    counts = {s: sum(run.record.status == s for run in adoption.runs) for s in ("done", "diverged", "failed")}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    say(f"imported {len(adoption.runs)} runs into {store.runs}: {said}")
    for plan in plans:
        say(f"  {plan['name']}: {len(plan['arms'])} arms ({', '.join(plan['keys']) or 'nothing varies'})")
    for line in unclear:
        say(f"note: {line}")
    say("to see them: paribus table    with other rows: paribus table --by KEY")


def _folder(source: str) -> Path:
    folder = Path(source)
    try:
        folder = folder.resolve()
        folder.stat()
    except FileNotFoundError:
        pass  # said where it is read
    except (OSError, ValueError) as error:
        raise UserError(
            f"import takes a folder, wandb:ENTITY/PROJECT or packed results ({' or '.join(PACKED)}), and "
            f"{source[:100]!r} is none ({getattr(error, 'strerror', None) or error})"
        ) from error
    return folder


def adopt_packed(path: Path, store: Store) -> None:
    """Records, checks and registrations of a file that scripts/results.py wrote; what the store has stays as it is.

    Records that the list beside the file has retired are left out.
    """
    from paribus.evidence import checks
    from paribus.report.packed import Shipped
    from paribus.store import registration

    packed = Shipped.read(path)
    entries = read_retired(path.with_name("retired.yaml"))
    faults = {id: fault for id, record in packed.records.items() if (fault := why_retired(record, entries))}
    for fault, count in Counter(faults.values()).items():
        say(f"note: {count} retired runs are left out: {fault}")
    new = [record for id, record in packed.records.items() if id not in faults and store.read(id) is None]
    for record in new:
        with store.lock(record.id):
            store.write(record, wait=False)
    drawn = [id for id in packed.curves if id not in faults and store.read(id) is not None and not store.curves(id)]
    for id in drawn:
        store.write_curves(id, packed.curves[id])
    with store.lock("registrations", blocking=True):
        for each in packed.registrations:
            if each.intact and not registration.read(store.root, each.name).all_entries:
                registration.write(store.root, each)
    os.sync()
    unknown = [check for id, check in packed.checks.items() if checks.read(store, id) is None]
    for check in unknown:
        checks.write(store, check)
    say(f"imported {len(new)} of {len(packed.records)} runs into {store.runs}, and {len(unknown)} checks")
    if packed.registrations:
        say(f"unfinished: {', '.join(each.name for each in packed.registrations)}")
    if drawn:
        say(f"{len(drawn)} of them have curves, to be drawn in reports and figures")
    say("look at them: paribus claims notes    train what they lack: paribus claims notes --run")


def sweeps(adoption: Adoption, by: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The arms of each sweep, by the choices that its runs vary, as sweep.json has them; and what is unclear of it."""
    groups: dict[str, list[Adopted]] = {}
    for run in adoption.runs:
        groups.setdefault(run.sweep, []).append(run)
    plans, unclear = [], []
    for name, runs in groups.items():
        records = [run.record for run in runs]
        keys = [key for key in by if any(key in record.choices for record in records)]
        if by and not keys:
            known = ", ".join(dict.fromkeys(key for record in records for key in record.choices))
            raise UserError(f"--by takes choices of the imported runs, got {', '.join(by)}. There are {known}")
        try:
            arms = arms_by(records, keys or None)
        except ReportError as error:
            unclear.append(f"{name}: {error}")
            arms = arms_by(records, None)
        varied = keys or sorted({key for record in records for key in record.choices if differs(records, key)})
        plans.append(
            {"name": name, "keys": varied, "arms": {arm: [r.id for r in found if r] for arm, found in arms.items()}}
        )
    return plans, unclear


def differs(records: Sequence[Any], key: str) -> bool:
    return len({str(record.choices.get(key)) for record in records}) > 1


def progress(done: int, of: int) -> None:
    if done % 100 == 0:
        say(f"{done} of {of} runs are read")

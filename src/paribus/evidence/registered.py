"""Registrations in words, and their writing: what was fixed before the runs, and what was changed after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from paribus.ablation.cells import Plan, Read
from paribus.store.registration import Entry, Registration, looks_in, read, reporting_in, write
from paribus.store.store import Store

_TIMES = {1: "once", 2: "twice"}


def register(store: Store, plans: Iterable[Plan]) -> list[str]:
    """Writes what the plans fix, where it is not yet registered or has changed; what was written, in words."""
    said = []
    for plan in plans:
        if plan.entry is None:
            continue
        with store.lock("registrations", blocking=True):
            known = read(store.root, plan.name)
            entries = known.of(plan.entry.recipe).entries
            if entries and entries[-1].content == plan.entry.content:
                continue
            entry = replace(plan.entry, time=datetime.now(timezone.utc).isoformat(timespec="seconds"))
            found = known.with_entry(entry)
            write(store.root, found)
        changes = f"amended ({'; '.join(changed(entries[-1], entry))})" if entries else "registered"
        said.append(f"{plan.name}: {changes}, {found.all_entries[-1].hash}")
    return said


def sentences(plan: Plan, get: Read) -> tuple[str, ...]:
    """What the caption of a table says of the registration of a plan; nothing for a plain sweep."""
    if plan.entry is None or plan.registration is None:
        return ()
    entries = plan.registration.of(plan.entry.recipe).entries
    return (*_history(entries), *_changed(entries, plan.entry), *_warnings(plan, plan.registration, get))


def _history(entries: Sequence[Entry]) -> Iterator[str]:
    if not entries:
        yield "Not registered before the runs."
        return
    first, *later = entries
    said = f"Registered on {first.time[:10]}"
    if first.seen:
        said += f", when arms had up to {first.seen} results already"
    if later:
        said += f", amended {_TIMES.get(len(later), f'{len(later)} times')}: " + "; ".join(
            f"{', '.join(changed(before, after))}, after {after.seen} seeds"
            for before, after in zip(entries, later, strict=False)
        )
        said += ". Amended looks spend only the error that was left"
    yield f"{said}."


def _changed(entries: Sequence[Entry], now: Entry) -> Iterator[str]:
    if entries and entries[-1].content != now.content:
        yield f"CAUTION: the file has changed since it was registered ({', '.join(changed(entries[-1], now))})."


def _warnings(plan: Plan, known: Registration, get: Read) -> Iterator[str]:
    if not known.intact:
        yield "CAUTION: the registration was edited by hand."
    hashes = {}
    for cell in plan.cells:
        record = get(cell.id)
        if record is not None and record.ablation == plan.name and (hash := record.provenance.get("registration")):
            hashes[str(hash)] = record.id
    for hash, id in hashes.items():
        if not known.knows(hash):
            yield f"CAUTION: runs such as {id} name the registration {hash}, which was deleted or edited."


def changed(before: Entry, after: Entry) -> list[str]:
    """The differences of two entries: cap 10 -> 90."""
    found = []
    sizes = [(len(reporting_in(each.content)), looks_in(each.content)) for each in (before, after)]
    if sizes[0][0] != sizes[1][0]:
        found.append(f"cap {sizes[0][0]} -> {sizes[1][0]}")
    elif sizes[0][1] != sizes[1][1]:
        found.append(f"looks {_list(sizes[0][1])} -> {_list(sizes[1][1])}")
    old, new = (dict(_flat(each.content)) for each in (before, after))
    skipped = ("seeds.report", "seeds.more", "seeds.looks") if found else ()
    for key in dict.fromkeys([*old, *new]):
        if key not in skipped and old.get(key) != new.get(key):
            name = f"tune.{key.removeprefix('search.')}" if key.startswith("search.") else key
            found.append(f"{name} {_list(old.get(key))} -> {_list(new.get(key))}")
    return found


def in_words(entry: Entry) -> list[str]:
    """What a registration fixes, in lines for people."""
    content = entry.content
    seeds, looks = content["seeds"], looks_in(content)
    factors = [f"{each['name']}: {', '.join(level['name'] for level in each['levels'])}" for each in content["factors"]]
    lines = [f"design {content['design']} of {'; '.join(factors)}"]
    if content["tune"]:
        axes = [f"{key} {each['kind']} {_list(each['values'])}" for key, each in content["tune"].items()]
        search = content.get("search")
        drawn = f"{search['trials']} {search['sampler']} trials (seed {search['seed']}) of " if search else ""
        halved = f", halved by {search['halving']} from rung to rung" if search and search.get("halving") else ""
        lines.append(
            f"tuned over {drawn}{'; '.join(axes)}{halved} by {content['select_on']} on {len(seeds['tune'])} seeds "
            f"(tuning: {seeds['tuning']})"
        )
    tested = f"tested at {_list(looks)}" if len(looks) > 1 else "tested once"
    lines.append(
        f"{content['metric']} of {len(reporting_in(content))} reporting seeds, {tested}; they vary "
        f"{_list(seeds['vary'])}; smallest effect of interest {content['smallest_effect'] or 'by default'}"
    )
    lines += [f"hypothesis {each['id']}: {each['claim']}" for each in content["hypotheses"]]
    lines += [f"time until {metric} reaches {value}" for metric, value in content.get("targets", {}).items()]
    return lines


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys; entries of lists by their id, name or place."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}{key}.")
    elif isinstance(content, list) and any(isinstance(each, Mapping) for each in content):
        for place, each in enumerate(content):
            name = each.get("id", each.get("name", place)) if isinstance(each, Mapping) else place
            yield from _flat(each, f"{prefix}{name}.")
    else:
        yield prefix.rstrip("."), content


def _list(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) if len(value) <= 6 else f"{len(value)} values"
    return "none" if value is None else str(value)

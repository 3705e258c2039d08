"""Registrations: what an ablation was going to compare, written down before its first run, and every later change.

outputs/registrations/NAME.json is a list of entries, each with the hash of itself and of the entry before. The record
of a run keeps the newest hash of its time. So an entry that is edited, or a file that is deleted, is noticed. A command
line that gives the ablation another recipe (ablation=norms model=mlp) has other runs, and entries of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically
from paribus.stats.amended import amended, linear
from paribus.store.names import bounded, read_bounded


@dataclass(frozen=True)
class Entry:
    """time: ISO 8601 in UTC. seen: the largest number of reporting seeds of an arm that had results then.

    recipe: the setting that all arms start from, see `Run.setting`.
    content: what is registered, as plain data: the fields of an ablation.
    """

    time: str
    recipe: str
    seen: int
    content: Mapping[str, Any]
    hash: str = ""

    def after(self, before: str) -> str:
        """Its hash behind an entry of hash `before`: sixteen hexadecimal digits of SHA-256."""
        text = json.dumps([before, self.time, self.recipe, self.seen, self.content], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Registration:
    """The entries of one name, of all its recipes. intact: whether each has the hash that it was written with."""

    name: str
    all_entries: tuple[Entry, ...] = ()
    intact: bool = True

    def of(self, recipe: str) -> Study:
        return Study(tuple(each for each in self.all_entries if each.recipe == recipe))

    def knows(self, hash: str) -> bool:
        return any(each.hash == hash for each in self.all_entries)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "entries": [asdict(each) for each in self.all_entries]}

    def with_entry(self, entry: Entry) -> Registration:
        before = self.all_entries[-1].hash if self.all_entries else ""
        return replace(self, all_entries=(*self.all_entries, replace(entry, hash=entry.after(before))))


@dataclass(frozen=True)
class Study:
    """The entries of one recipe: what was registered first, and its amendments."""

    entries: tuple[Entry, ...]

    def looks(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The numbers of reporting seeds at which verdicts are tested, and the share of the error for each."""
        sizes = looks_in(self.entries[0].content)
        shares = tuple(linear(sizes))
        for before, entry in zip(self.entries, self.entries[1:], strict=False):
            same = tests_in(before.content) == tests_in(entry.content)
            seeds = zip(reporting_in(before.content), reporting_in(entry.content), strict=False)
            fresh = any(old != new for old, new in seeds)
            sizes, shares = amended(sizes, shares, entry.seen, looks_in(entry.content), same, fresh)
        return sizes, shares


def path_of(outputs: Path, name: str) -> Path:
    """name: of the plan, such as norms [digits]."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return outputs / "registrations" / f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"


def read(outputs: Path, name: str) -> Registration:
    """Without entries where nothing is registered; a file that can't be read is named in a warning, and is none."""
    path = path_of(outputs, name)
    try:
        found = parsed(bounded(json.loads(read_bounded(path))))
    except (FileNotFoundError, NotADirectoryError):
        return Registration(name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        warnings.warn(f"{path} can't be used: {error}; nothing counts as registered", stacklevel=2)
        return Registration(name, intact=False)
    return replace(found, name=name, intact=found.intact and found.name == name)


def parsed(given: Any) -> Registration:
    """What `Registration.as_dict` gave.

    Raises ValueError, LookupError, TypeError or AttributeError for anything else.
    """
    keys = ("time", "recipe", "seen", "content", "hash")
    entries = tuple(Entry(*(each[key] for key in keys)) for each in given["entries"])
    intact, before = isinstance(given.get("name"), str), ""
    for each in entries:
        looks_in(each.content), tests_in(each.content), reporting_in(each.content)
        intact, before = intact and each.hash == each.after(before), each.hash
    return Registration(str(given.get("name")), entries, intact)


def write(outputs: Path, registration: Registration) -> None:
    path = path_of(outputs, registration.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(registration.as_dict(), indent=1, ensure_ascii=False) + "\n")


def hash_of(outputs: Path, name: str | None) -> dict[str, str]:
    """What the record of a run that begins keeps: {"registration": hash} of its ablation, empty where there is none."""
    entries = read(outputs, name).all_entries if name else ()
    return {"registration": entries[-1].hash} if entries else {}


def plain(ablation: Any) -> dict[str, Any]:
    """The fields of an ablation as they come back from JSON; not where its file lies, what others found, the words
    over a report, nor which other claim a hypothesis belongs to: these decide nothing."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(ablation), default=str, ensure_ascii=False))
    for key in ("source", "claim", "about"):
        del content[key]
    for key in ("targets", "search"):  # registrations of before know none
        if not content[key]:
            del content[key]
    if "search" in content and not content["search"]["halving"]:
        del content["search"]["halving"]
    for each in content["hypotheses"]:
        del each["literature"], each["of"]
    return content


def reporting_in(content: Mapping[str, Any]) -> list[int]:
    """All reporting seeds up to the cap."""
    return [*content["seeds"]["report"], *content["seeds"]["more"]]


def looks_in(content: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(content["seeds"]["looks"]) or (len(content["seeds"]["report"]),)


def tests_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """What decides on the test at a number of seeds: all but the words of claims, targets, which no verdict is about,
    and how many seeds there are."""
    seeds = {key: value for key, value in content["seeds"].items() if key not in ("report", "more", "looks", "shares")}
    hypotheses = [{key: value for key, value in each.items() if key != "claim"} for each in content["hypotheses"]]
    found = {**content, "seeds": seeds, "hypotheses": hypotheses}
    found.pop("targets", None)
    return found

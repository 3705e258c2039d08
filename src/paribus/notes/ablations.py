"""The ablations of the lecture notes, and what goes beyond them: the files in conf/ablation/notes."""

from __future__ import annotations

from paribus.ablation.ablation_files import file_of
from paribus.config.ablations import shipped

FOLDER = "notes"
LAST = "batch_time"  # it measures time: everything else should be over


def names() -> list[str]:
    """Their short names, the one that measures time last."""
    return sorted(
        (name for name, path in shipped().items() if path.parent.name == FOLDER), key=lambda each: each == LAST
    )


def word(name: str) -> str:
    """The word after `ablation=`: the short name, or the whole one where a file of the user's own has the short one."""
    return name if file_of(name) == shipped()[name] else whole(name)


def whole(name: str) -> str:
    """The name that means this file whatever files a user has: notes/norms."""
    return f"{FOLDER}/{name}"


def takes_times(name: str) -> bool:
    """Whether nothing else should run beside it."""
    return are(name) and name.rpartition("/")[2] == LAST


def are(name: str) -> bool:
    """Whether `ablation=NAME` is one of the notes'."""
    short = name.rpartition("/")[2]
    return short in names() and file_of(name) == shipped()[short]

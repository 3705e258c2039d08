"""Groups of runs that were planned as one job, kept beside the records (outputs/groups): each is planned once.

The sums of a stack round as its members are. A sweep that is killed and goes on must not put its runs together in
another way because some are done by now, or because a measurement came out otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically

Group = tuple[str, ...]


class Groups:
    """outputs: the folder of the records.

    A stage of a sweep is one file, so that a kill leaves all of its groups or none. How a group was cut into stacks
    lies beside it.
    """

    def __init__(self, outputs: Path):
        self.folder = outputs / "groups"

    def known(self, ids: Collection[str], terms: str, begun: Callable[[str], bool]) -> dict[Group, list[str]]:
        """The groups of these runs that still hold -> which of the runs they have, each run in one group at most.

        terms: what groups depend on beside the runs, such as the number of slots. Groups of other terms hold where one
            of their runs has begun.
        """
        found: dict[str, Group] = {}  # by run
        for _, content in self._stages():
            for group in map(tuple, content["groups"]):
                own = [id for id in group if id in ids]
                if own and (content["terms"] == terms or any(map(begun, own))):
                    for id in own:
                        found[id] = group
        groups = dict.fromkeys(found[id] for id in ids if id in found)
        return {group: [id for id in group if found.get(id) == group] for group in groups}

    def remember(self, groups: Sequence[Group], terms: str) -> None:
        if not groups:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"terms": terms, "groups": groups})
        number = max((stage for stage, _ in self._stages()), default=-1) + 1
        write_atomically(self.folder / f"stage-{number:06d}-{_name([text])}.json", text)

    def forget(self, ended: Callable[[str], bool]) -> None:
        """Remove what is known of stages whose runs have all ended."""
        for path in self._paths():
            content = _read(path)
            if content is None or all(ended(id) for group in content["groups"] for id in group):
                for group in content["groups"] if content else ():
                    self._cut(group).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def cut(self, group: Sequence[str]) -> tuple[int, bool] | None:
        """(how many of a group train together, whether their program is compiled), if that has been decided."""
        try:
            content = json.loads(self._cut(group).read_text())
            return int(content["size"]), bool(content["compile"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember_cut(self, group: Sequence[str], size: int, compile: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._cut(group), json.dumps({"size": size, "compile": compile}))

    def _cut(self, group: Sequence[str]) -> Path:
        return self.folder / f"cut-{_name(group)}.json"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("stage-*.json")) if self.folder.is_dir() else []

    def _stages(self) -> list[tuple[int, dict[str, Any]]]:
        found = []
        for path in self._paths():
            content = _read(path)
            if content is not None:
                found.append((int(path.stem.split("-")[1]), content))
        return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
        assert all(isinstance(id, str) for group in content["groups"] for id in group)
        assert isinstance(content["terms"], str)
    except (OSError, ValueError, KeyError, TypeError, AssertionError):  # damaged: planned again
        return None
    result: dict[str, Any] | None = content
    return result


def _name(texts: Sequence[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]

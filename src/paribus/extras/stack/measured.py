"""Measurements of stacks on this machine, kept beside the records: outputs/stacks.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically
from paribus.store.checksums import sha256

REFUSED = "refused"  # in the place of a machine


class Measured:
    """Decisions by program (see `paribus.extras.stack.planning.program`) and machine.

    A decision holds `size` (how many runs together are fastest, 1 for alone), `compile`, and what led to it.
    """

    def __init__(self, outputs: Path):
        self.path = outputs / "stacks.json"

    def read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text())
        except (OSError, ValueError):  # not there, or damaged: it is measured again
            return {}
        return content if isinstance(content, dict) else {}

    def best_size(self, program: str) -> int | None:
        """The decision of the machine that measured last; None where none has."""
        known = [each for machine, each in self.read().get(program, {}).items() if machine != REFUSED]
        return known[-1]["size"] if known else None

    def refusal(self, program: str) -> str | None:
        """Why runs of a program train otherwise in a stack than alone; None where nothing speaks against it.

        What was found out about code holds as long as its files are what they were.
        """
        known = self.read().get(program, {}).get(REFUSED)
        if not known or known["sources"] != hashes(known["sources"]):
            return None
        result: str | None = known["reason"]
        return result

    def refuse(self, program: str, reason: str, sources: Iterable[Path | str]) -> None:
        """sources: the files of the code that it was found out about."""
        self.remember(program, REFUSED, {"reason": reason, "sources": hashes(map(str, sources))})

    def decision(self, program: str, machine: str) -> dict[str, Any] | None:
        result: dict[str, Any] | None = self.read().get(program, {}).get(machine)
        return result

    def remember(self, program: str, machine: str, decision: dict[str, Any]) -> None:
        content = self.read()
        content.setdefault(program, {})[machine] = decision
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(content, indent=1))


def hashes(files: Iterable[str]) -> dict[str, str]:
    """file -> SHA-256 of what it holds; of one that can't be read, an empty text."""
    found = {}
    for file in sorted(files):
        try:
            found[file] = sha256(Path(file))
        except OSError:
            found[file] = ""
    return found

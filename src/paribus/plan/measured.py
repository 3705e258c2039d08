"""What has been measured about stacks on this machine, kept beside the records: outputs/stacks.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paribus.store.atomic import write_atomically


class Measured:
    """Decisions by program (see `paribus.plan.stacks.program`) and machine.

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
        known = self.read().get(program, {})
        return next(reversed(known.values()))["size"] if known else None

    def decision(self, program: str, machine: str) -> dict[str, Any] | None:
        return self.read().get(program, {}).get(machine)

    def remember(self, program: str, machine: str, decision: dict[str, Any]) -> None:
        content = self.read()
        content.setdefault(program, {})[machine] = decision
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(content, indent=1))

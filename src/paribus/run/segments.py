"""Segments of a run, from one interruption to the next: alone or in which stack, and on what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

Segment = dict[str, Any]


class Segments:
    """Stretches of updates, each with what its sums were rounded by.

    A segment holds `from` and `to` (updates), `stack` (how many runs, 1 for alone; None where it is not known) and, in
    a stack, `group`, a name for these runs in this order, and `compiled`; and `threads`, `device` and `torch`. After an
    interruption that changes none of these a segment goes on: not a bit differs.
    """

    def __init__(self) -> None:
        self._past: list[Segment] = []
        self._present: Segment = {"from": 0, "stack": 1}

    def load(self, past: Sequence[Mapping[str, Any]] | None, step: int) -> None:
        """What a checkpoint says; None where it is of a version that did not."""
        unknown = [{"from": 0, "to": step, "stack": None}] if step else []
        self._past = unknown if past is None else [dict(each) for each in past]

    def begin(self, step: int, device: torch.device, rows: Sequence[str] = (), compiled: bool = False) -> None:
        """From update `step` on: alone, or in the stack of these runs."""
        present: Segment = {"stack": max(1, len(rows))}
        if rows:
            present |= {"group": _name(rows), "compiled": compiled}
        present |= {
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "torch": str(torch.__version__),
        }
        goes_on = self._past and present == {k: v for k, v in self._past[-1].items() if k not in ("from", "to")}
        self._present = {"from": self._past.pop()["from"] if goes_on else step, **present}

    def until(self, step: int) -> list[Segment]:
        """All of them, up to update `step`."""
        past = [dict(each) for each in self._past]
        return past if past and self._present["from"] == step else [*past, {**self._present, "to": step}]


def largest_stack(segments: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """For a record's timing: in how large a stack the run was at most; nothing for one that was never in a stack."""
    most = max((each["stack"] or 1 for each in segments), default=1)
    return {"stack": most} if most > 1 else {}


def _name(rows: Sequence[str]) -> str:
    return hashlib.sha256("".join(rows).encode()).hexdigest()[:16]

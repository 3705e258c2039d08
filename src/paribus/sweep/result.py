"""The result of a process that trains: kind, message and the end of a traceback."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field

FRAMES = 4  # of a traceback on the terminal; train.log has them all


@dataclass(frozen=True)
class Result:
    """How a job went. kind: done, diverged, pruned, busy, invalid, left (runs of a stack, to be trained alone), or a
    type of failure. imported: modules that the fork server did not have."""

    kind: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    traceback: str = ""
    imported: tuple[str, ...] = ()


def death(code: int) -> str:
    """What a negative exit code says."""
    name = signal.Signals(-code).name
    return f"ended by {name}{' (perhaps by the system, for lack of memory)' if name == 'SIGKILL' else ''}"


def short(error: BaseException) -> str:
    """The last frames of a traceback, without those of Lightning's loops in between."""
    frames = traceback.extract_tb(error.__traceback__)
    shown = [frame for frame in frames if f"{os.sep}pytorch_lightning{os.sep}" not in frame.filename] or frames
    return "".join(traceback.format_list(shown[-FRAMES:])).rstrip()

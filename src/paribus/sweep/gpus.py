"""The GPUs that jobs may have, by the names that CUDA_VISIBLE_DEVICES calls them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paribus.base.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def names_of_gpus(asked: Sequence[str] | None, count: Callable[[], int]) -> tuple[str, ...]:
    """All that this process may use, or those that are asked for.

    What a scheduler or a shell has put into CUDA_VISIBLE_DEVICES is all there is, and numbers count within it, as torch
    counts. Each instance of a GPU that is cut by MIG is one; CUDA itself shows a process the first of them only.

    asked: numbers, or names such as GPU-... and MIG-...; None for all. count: of the GPUs that torch sees; it is called
        where no list says it.

    Raises UserError for a number beyond those that there are.
    """
    given = os.environ.get(VISIBLE)
    names = None if given is None else [name.strip() for name in given.split(",") if name.strip()]
    cut = instances()
    if names and names[0].startswith("MIG-"):
        names = [name for name in names if name.startswith("MIG-")]
    elif any(cut.values()):
        whole = list(cut)[1::2] if names is None else names  # numbers and names take turns
        names = [instance for name in whole for instance in cut.get(name) or (name,)]
    elif names is None and asked is not None:
        return tuple(asked)
    else:
        names = (names if names is not None else [str(number) for number in range(count())])[: count()]
    return tuple(names) if asked is None else tuple(_chosen(each, names, given) for each in asked)


def _chosen(asked: str, names: Sequence[str], given: str | None) -> str:
    if not asked.isdecimal():
        return asked
    if int(asked) < len(names):
        return names[int(asked)]
    of = f"{VISIBLE}={given}" if given is not None else "the instances of MIG on this machine"
    raise UserError(
        f"hydra.launcher.gpus counts from 0 within {of}, which has {len(names)}, and got {asked}. "
        + ("There is none to use" if not names else f"Use {list(range(len(names)))}, or names such as {names[0]}")
    )


def instances() -> dict[str, tuple[str, ...]]:
    """Number and name of each GPU, in turn -> the names of its MIG instances. Empty where no driver tells."""
    if shutil.which("nvidia-smi") is None:
        return {}
    try:
        text = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    keys: tuple[str, str] | None = None
    for line in text.splitlines():
        if gpu := re.match(r"GPU (\d+): .*\(UUID: ([^)]+)\)", line):
            keys = gpu[1], gpu[2]
            found |= dict.fromkeys(keys, ())
        elif keys is not None and (instance := re.search(r"\(UUID: (MIG-[^)]+)\)", line)):
            found |= dict.fromkeys(keys, (*found[keys[0]], instance[1]))
    return found


def gpus_here() -> int:
    """The GPUs of this machine by its driver's word, without torch, which takes seconds to import."""
    given = os.environ.get(VISIBLE)
    there = len(instances()) // 2
    return there if given is None else min(there, len([name for name in given.split(",") if name.strip()]))


def at_a_time(launcher: Mapping[str, Any], count: Callable[[], int]) -> int:
    """How many jobs of one GPU the local launcher runs at a time. launcher: its options."""
    asked = launcher.get("gpus", "auto")
    names = names_of_gpus(None if asked == "auto" else tuple(map(str, asked)), count)
    return max(1, len(names) * int(launcher.get("jobs_per_gpu") or 1))

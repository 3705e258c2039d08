"""The offers of W&B to the core: names that it would refuse are refused before a run begins, runs that it has not got
are said when training ends, and `paribus doctor` tells its state."""

from __future__ import annotations

import os
from collections.abc import Iterator

from paribus.base.findings import Finding
from paribus.extras.wandb.afterword import afterword
from paribus.extras.wandb.limits import check_run

__all__ = ["afterword", "check_run", "examine"]

SECONDS = 5.0  # for the server to answer


def examine() -> Iterator[Finding]:
    """Whether runs with logger=wandb go online."""
    from paribus.extras.wandb.access import base_url, has_key, unreachable

    if mode := os.environ.get("WANDB_MODE"):
        yield Finding("W&B", f"{mode}, as WANDB_MODE says")
    elif not has_key():
        yield Finding("W&B", f"offline: no key for {base_url()}. Runs are kept, and `paribus sync` uploads them later")
    elif reason := unreachable(SECONDS):
        yield Finding("W&B", f"offline, although there is a key for {base_url()}", f"it does not answer: {reason}")
    else:
        yield Finding("W&B", f"online: {base_url()} answers, and there is a key")

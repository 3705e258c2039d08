r"""The rates of an optimizer, as its schedule sets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def set_rates(groups: Iterable[dict[str, Any]], factor: float, momentum: float | None) -> None:
    """Set the rate (`factor` times each group's `initial_lr`) and the momentum for one update."""
    for group in groups:
        group["lr"] = group["initial_lr"] * factor
        # A schedule that cycles momentum cycles what there is: plain gradient descent stays without, and the
        # averages of schedule-free optimizers rely on a constant one.
        if momentum is None or "train_mode" in group:
            continue
        if group.get("momentum"):
            group["momentum"] = momentum
        elif "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])

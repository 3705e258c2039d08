"""A look at whether training moves the weights: a run whose weights stand still although they have gradients is none.

Rounding can do that, and so can a fault of a kernel: in bfloat16 a step of less than 0.2 % of a weight is lost, and the
loss, the gradients and the record look like those of a training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

ENTRIES = 64  # of each parameter that are looked at
STILL = 0.75  # share of these, of which training may leave no more as they were: usual runs of 20 updates leave 0.35
UPDATES = 10  # fewer say nothing
LOST = 2.0**-24  # of a weight: a step of less is lost in float32


class Movement:
    """A few entries of each parameter as they are when training begins, and as they are at its end.

    It costs a look at the end of the first epoch and one before the last update, and nothing in between. An entry
    counts if rate times gradient is then a step that float32 would not lose. So frozen parameters, units that are off,
    a warm-up that begins with a rate of 0, and a rate that is too small for any precision are no reason to complain:
    the last of them is a setting like others, which a grid may hold.
    """

    def __init__(self, network: nn.Module):
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._start = self._now()
        self._pulled: Tensor | None = None

    def look(self, optimizer: Optimizer) -> None:
        """Between a backward pass and the step: which entries are to move."""
        rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
        pulled = [
            rates[id(p)] * _entries(p.grad).float().abs() > LOST * _entries(p).float().abs()
            if p.grad is not None and not p.grad.is_sparse and rates.get(id(p))
            else torch.zeros_like(_entries(p), dtype=torch.bool)
            for p in self._parameters
        ]
        self._pulled = torch.cat(pulled) if pulled else None

    def still(self) -> float:
        """The share of the entries that were to move and are what they were; 0 where there are none."""
        if self._pulled is None:
            return 0.0
        pulled, same = int(self._pulled.sum()), self._now() == self._start
        return int((same & self._pulled).sum()) / pulled if pulled else 0.0

    def _now(self) -> Tensor:
        """In float64, which every type fits into."""
        entries = [_entries(p).to(torch.float64 if p.device.type != "mps" else p.dtype) for p in self._parameters]
        return torch.cat(entries) if entries else torch.empty(0)

    def state(self) -> dict[str, Any]:
        return {"start": self._start, "pulled": self._pulled}

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint; one of before says nothing, and then nothing is complained of."""
        if state is None or state["start"].shape != self._start.shape:
            self._parameters, self._pulled = [], None
            self._start = self._now()
            return
        self._start = state["start"].to(self._start)
        self._pulled = None if state["pulled"] is None else state["pulled"].to(self._start.device)


def complaint(share: float, precision: str, optimizer: str) -> str:
    """For a person: what stands still, and what to do."""
    remedy = "a larger optimizer.lr"
    if precision in ("bf16-true", "16-true"):
        remedy = f"trainer.precision=bf16-mixed, which keeps weights in float32, or {remedy}"
    return (
        f"training must move the weights, and {share:.0%} of those that were looked at are what they were at the start "
        f"although they have gradients and a rate: the steps of optimizer={optimizer} are lost in the rounding of "
        f"trainer.precision={precision}, or it takes none. Use {remedy}"
    )


def _entries(tensor: Tensor) -> Tensor:
    """A copy of up to ENTRIES entries, evenly spread; of a sharded tensor, of the part that lies here."""
    own: Any = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    flat: Tensor = own.detach().reshape(-1)
    return flat[:: max(1, len(flat) // ENTRIES)][:ENTRIES].clone()

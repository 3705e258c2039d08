"""The curvature of any network from Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paribus.base.errors import UserError
from paribus.base.extras import needed_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from paribus.extras.curvature.analysis import Effort


@dataclass(frozen=True)
class Curvature:
    """The analysis of a critical point. values: everything that was found, as plain values."""

    values: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """minimum-like, strict saddle, gradient-flat, ..."""
        return str(self.values["verdict"])

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def figure(self) -> Figure:
        """The spectrum, its negative part in red."""
        from paribus.extras.curvature.report import spectrum

        return spectrum(self.values)

    def __str__(self) -> str:
        from paribus.extras.curvature.report import describe

        return describe(self.values)

    __repr__ = __str__


def curvature(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    decay: float = 0.0,
    batch_size: int = 512,
    refine: int = 200,
    dense: int = 3000,
    probes: int = 10,
    seed: int = 0,
) -> Curvature:
    r"""Hessian spectrum, index and verdict of a network that is no run of ours; of a run, see `TrainedRun.curvature`.

    Analysed is the mean of loss(network(x), y) over all samples, plus decay / 2 times the sum of squares of the weights
    that are trained. It is computed in float64 on a copy in evaluation mode, in batches of `batch_size`.

    loss: of the outputs and targets of a batch, a mean over its samples.
    refine: Newton steps at most. dense: largest Hessian that is computed as a whole.
    probes, seed: random vectors of the spectral density.

    Raises UserError where the loss is not finite, and where the extra curvature was deleted.
    """
    with needed_by("paribus.curvature"):
        from paribus.extras.curvature.analysis import analyse
        from paribus.extras.curvature.objective import Risk
    import torch

    trained = [p for p in network.parameters() if p.requires_grad]
    number = sum(p.numel() for p in trained)
    penalty = torch.full((number,), decay, dtype=torch.float64, device=trained[0].device) if decay else None
    risk = Risk(
        network, loss, lambda: zip(x.split(batch_size), y.split(batch_size), strict=True), len(x), penalty=penalty
    )
    theta = risk.point(network)
    began = risk.value(theta)
    if not math.isfinite(began):
        raise UserError(f"curvature needs a finite loss, got {began}. Look at the weights and the data")
    found = analyse(risk, theta, effort(refine, dense, probes), seed=seed)
    given = {"run": type(network).__name__, "split": "given", "samples": len(x), "decay": bool(decay)}
    return Curvature({**given, "start_loss": began, **found.as_dict()})


def effort(refine: int, dense: int, probes: int) -> Effort:
    """What an analysis may cost; the rest as `paribus curvature` has it."""
    from paribus.extras.curvature.analysis import Effort

    return Effort(refine_steps=refine, dense_up_to=dense, probes=probes)

"""The sharpness of the loss along training, against what the optimizer can bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from paribus.datasets.seeds import mix
from paribus.extras.curvature.eigen import extreme, random_unit
from paribus.extras.curvature.objective import Risk
from paribus.extras.curvature.probe import Probe, training_risk
from paribus.techniques.optimizers.rates import Stability, stability

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class Sharpness(Probe):
    r"""The largest eigenvalue of the Hessian, and how near it is to where the optimizer becomes unstable.

    Logged, with D the diagonal of rates that the optimizer applies to each coordinate (see
    paribus.techniques.optimizers.rates):

        sharpness                 $\lambda_{max}(H)$ of the training loss with its weight decay
        sharpness_preconditioned  $\lambda_{max}(D^{1/2} H D^{1/2}) / \eta$, for adaptive optimizers
        sharpness_lr_half         $\frac12 \lambda_{max}(D^{1/2} H D^{1/2})$: sharpness x lr / 2
        stability                 the same as a share of the threshold that momentum allows: 1 is the edge

    Where the optimizer is no gradient descent with a rate for each coordinate (Muon, Lion, SOAP, ...), no threshold
    is known, and only the sharpness is logged.

    every: updates between measurements. share: of the training time, at most; null for no limit.
    samples: of the training set, evenly spaced; null for all of it, which is what full-batch descent feels.
    products: Hessian-vector products for each eigenvalue at most. tolerance: of the eigenvalue, relative.

    Source: Cohen et al. 2021, arXiv:2103.00065; Cohen et al. 2022, arXiv:2207.14484.
    """

    name = "sharpness"

    def __init__(
        self,
        every: int = 50,
        share: float | None = 0.1,
        samples: int | None = 1000,
        products: int = 40,
        tolerance: float = 0.01,
    ):
        super().__init__(every, share)
        if products < 5:
            raise ValueError(f"callbacks.sharpness.products must be at least 5, got {products}")
        self.samples = samples
        self.products = products
        self.tolerance = tolerance
        self._risk: Risk | None = None
        self._starts: dict[str, Tensor] = {}

    def measure(self, loop: Loop) -> dict[str, float]:
        if self._risk is None:
            self._risk = training_risk(loop, self.samples)
        risk, network = self._risk, loop.network
        theta = risk.point(network)
        parameters = [p for p in network.parameters() if p.requires_grad]
        acting = stability(loop.optimizer)
        decay = _flat(decay_on_diagonal(loop.optimizer, acting), parameters, theta)

        def hessian(v: Tensor) -> Tensor:
            return risk.product(theta, v) + decay * v

        step = loop.data.cursor.step
        values = {"sharpness": self._largest("plain", hessian, theta, step)}
        if acting is None:
            return values
        order = [p for group in loop.optimizer.param_groups for p in group["params"]]
        rates = _flat(dict(zip(order, acting.rates, strict=True)), parameters, theta)
        rate = float(loop.optimizer.param_groups[0]["lr"])
        uniform = bool((rates == rates[0]).all())
        if uniform:
            felt = float(rates[0]) * values["sharpness"]
        else:
            root = rates.sqrt()
            felt = self._largest("preconditioned", lambda v: root * hessian(root * v), theta, step)
        if acting.adaptive and rate > 0:
            values["sharpness_preconditioned"] = felt / rate
        values["sharpness_lr_half"] = felt / 2
        values["stability"] = felt / 2 / acting.edge
        return values

    def _largest(self, name: str, product: Any, theta: Tensor, step: int) -> float:
        """The largest eigenvalue, from the eigenvector that the last measurement found, and a little of everything."""
        generator = torch.Generator().manual_seed(mix(step, 0))
        start = random_unit(len(theta), generator).to(theta)
        if name in self._starts:
            start = self._starts[name] + 0.1 * start
        found = extreme(product, start, "top", products=self.products, tolerance=self.tolerance, basis=10)
        self._starts[name] = found.vector
        return found.value


def decay_on_diagonal(optimizer: torch.optim.Optimizer, acting: Stability | None) -> dict[Tensor, Tensor | float]:
    r"""What weight decay adds to the diagonal of the Hessian: c, or for decay decoupled from the rates $\eta_i$ of the
    coordinates $c\,\eta / \eta_i$, so that the product with the rate is $c\,\eta$ in both cases.
    """
    added: dict[Tensor, Tensor | float] = {}
    position = 0
    for group in optimizer.param_groups:
        amount = float(group.get("weight_decay", 0.0) or 0.0)
        decoupled = group.get("decoupled_weight_decay", False)
        for p in group["params"]:
            scale = float(group["lr"]) / acting.rates[position] if decoupled and acting is not None else 1.0
            added[p] = amount * scale
            position += 1
    return added


def _flat(values: Mapping[Tensor, Tensor | float], parameters: Sequence[Tensor], like: Tensor) -> Tensor:
    """(n,), in the order of the parameters."""
    return torch.cat([torch.as_tensor(values[p]).to(like).expand(p.shape).reshape(-1) for p in parameters])

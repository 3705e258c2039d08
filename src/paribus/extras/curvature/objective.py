r"""Functions of one vector $\theta$ whose gradients and Hessian-vector products are summed over batches."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrize import ParametrizationList

from paribus.base.torch_internals import RUNNING_NORMS, SPECTRAL_NORMS
from paribus.base.weights import flatten
from paribus.techniques.norms.batch_norm import BatchNorm
from paribus.techniques.norms.parametrize import SpectralNorm

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
_ROWS = 32  # of a dense Hessian, taken at once


class Objective(ABC):
    r"""$f(\theta) = \sum_b f_b(\theta)$, twice differentiable, $\theta$ of shape (n,).

    Each term is differentiated and dropped before the next one is built, so memory holds one batch at a time.

    products: number of Hessian-vector products taken so far.
    on_rows: called with the number of rows of a dense Hessian that are done, for each term anew.
    """

    def __init__(self) -> None:
        self.products = 0
        self.on_rows: Callable[[int], None] = lambda done: None

    @abstractmethod
    def terms(self, theta: Tensor) -> Iterator[Tensor]:
        """The scalars f_b, each with its graph from theta."""

    def value(self, theta: Tensor) -> float:
        with torch.no_grad():
            return float(sum(float(term) for term in self.terms(theta)))

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """f and its gradient (n,)."""
        theta = theta.detach().requires_grad_()
        value, total = 0.0, torch.zeros_like(theta)
        for term in self.terms(theta):
            value += float(term.detach())
            total += torch.autograd.grad(term, theta)[0]
        return value, total

    def product(self, theta: Tensor, v: Tensor) -> Tensor:
        r"""$\nabla^2 f(\theta)\, v$, (n,), by differentiating $\langle \nabla f, v \rangle$.

        Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian".
        """
        self.products += 1
        theta = theta.detach().requires_grad_()
        total = torch.zeros_like(theta)
        for gradient in self._gradients(theta):
            total += torch.autograd.grad(gradient, theta, v.detach().to(theta), materialize_grads=True)[0]
        return total

    def hessian(self, theta: Tensor) -> Tensor:
        """The dense Hessian (n, n): n products that share the graph of each term's gradient."""
        n = len(theta)
        self.products += n
        theta = theta.detach().requires_grad_()
        total = theta.new_zeros((n, n))
        unit = torch.eye(n, dtype=theta.dtype, device=theta.device)
        for gradient in self._gradients(theta):
            for start in range(0, n, _ROWS):
                rows = slice(start, min(start + _ROWS, n))
                total[rows] += torch.autograd.grad(
                    gradient, theta, unit[rows], retain_graph=True, is_grads_batched=True, materialize_grads=True
                )[0]
                self.on_rows(rows.stop)
        return total

    def _gradients(self, theta: Tensor) -> Iterator[Tensor]:
        for term in self.terms(theta):
            (gradient,) = torch.autograd.grad(term, theta, create_graph=True)
            if gradient.requires_grad:  # else this term is linear
                yield gradient


class Function(Objective):
    """A function of a vector that is written down: an error surface."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def terms(self, theta: Tensor) -> Iterator[Tensor]:
        yield self.function(theta)


class Risk(Objective):
    r"""The mean loss of a network over samples: $\frac{1}{N} \sum_b N_b\, \ell(\mathrm{network}_\theta(x_b), y_b)$,
    and, where there is one, the penalty $\frac12 \sum_i c_i \theta_i^2$.

    batches: gives all batches (x, y) anew at each call, N = `samples` in all.
    statistics: "moving": norms as in evaluation; "batch": batch statistics of each batch, and power iterations of
        spectral norm, as in training (from the same buffers each time, and with no trace left in them).
    penalty: c (n,), the weight decay of each coordinate; None for none.

    Dropout is off. The network is copied, in the type `dtype`; the original is never touched again.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        batches: Batches,
        samples: int,
        *,
        dtype: torch.dtype = torch.float64,
        statistics: Literal["moving", "batch"] = "moving",
        penalty: Tensor | None = None,
    ):
        super().__init__()
        self.loss = loss
        self.batches = batches
        self.samples = samples
        self.penalty = penalty
        self.dtype = dtype
        self.network = copy.deepcopy(network).to(dtype)
        self.network.zero_grad()
        self.network.eval()
        _make_twice_differentiable(self.network)
        if statistics == "batch":
            for module in self.network.modules():
                # In torch a spectral norm is a parametrization that iterates while it is in training mode.
                module.training = isinstance(module, (BatchNorm, *RUNNING_NORMS, SpectralNorm, *SPECTRAL_NORMS))
        self.names = [name for name, p in self.network.named_parameters() if p.requires_grad]
        shapes = dict(self.network.named_parameters())
        self.shapes = [shapes[name].shape for name in self.names]

    def point(self, network: nn.Module) -> Tensor:
        """The parameters of a network of the same form as one vector (n,); its buffers become this objective's."""
        with torch.no_grad():
            for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
                own.copy_(other)
        return flatten(network).to(self.dtype)

    def terms(self, theta: Tensor) -> Iterator[Tensor]:
        parameters = self.unflatten(theta)
        if self.penalty is not None:
            yield 0.5 * (self.penalty * theta.square()).sum()
        for x, y in self.batches():
            # Copies, since norms in training mode write into them.
            buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
            with sdpa_kernel(SDPBackend.MATH):  # the fused forms of attention have no second derivative
                outputs = functional_call(
                    self.network, {**parameters, **buffers}, (x.to(self.dtype) if x.is_floating_point() else x,)
                )
            yield self.loss(outputs, y) * (len(x) / self.samples)

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """Parameters by name, views of theta."""
        parts = theta.split([shape.numel() for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}


class _WeightNorm(nn.Module):
    """g v / ||v||, in operations that can be differentiated twice.

    The second derivative of torch's own kernel is wrong on CPUs (seen in torch 2.13: its Hessian is not symmetric).
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        axes = [axis for axis in range(direction.ndim) if axis != self.dim]
        result: Tensor = direction * (length / torch.linalg.vector_norm(direction, dim=axes, keepdim=True))
        return result


def _make_twice_differentiable(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, ParametrizationList):
            for position, parametrization in enumerate(module):
                if type(parametrization).__name__ == "_WeightNorm":
                    module[position] = _WeightNorm(int(parametrization.dim))  # type: ignore[arg-type]

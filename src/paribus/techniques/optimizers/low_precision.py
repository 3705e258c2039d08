"""A trial of optimizers on weights of two bytes: some train nothing there, and some give nan."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

LOW = (torch.bfloat16, torch.float16)
UPDATES = 3
_found: dict[str, str | None] = {}  # once a process


def low_type(network: nn.Module) -> torch.dtype | None:
    """The type of trained weights of two bytes; None where there are none."""
    return next((p.dtype for p in network.parameters() if p.requires_grad and p.dtype in LOW), None)


def fault(make: Callable[[nn.Module], Optimizer], key: str, dtype: torch.dtype, device: torch.device) -> str | None:
    """What is wrong with the updates that an optimizer gives to weights of type `dtype`, against those in float64.

    They leave weights as they are, though the weights should move by more than their rounding (torch 2.12 and 2.13:
    the fused SGD of CPUs skips whole vectors, github.com/pytorch/pytorch/issues/191763); or they are not finite,
    or go many times as far as they should (an eps or an average of squares that is 0 in the type).

    make: the optimizer of a network. key: what else its updates depend on, such as its options.
    """
    key = f"{key} {dtype} {device.type}"
    if key not in _found:
        with torch.random.fork_rng(devices=[]):
            _found[key] = _fault(make, dtype, device)
    return _found[key]


def _fault(make: Callable[[nn.Module], Optimizer], dtype: torch.dtype, device: torch.device) -> str | None:
    generator = torch.Generator().manual_seed(0)
    truth = nn.Sequential(nn.Linear(9, 33), nn.Linear(33, 67), nn.Linear(67, 3))
    with torch.no_grad():
        for p in truth.parameters():  # numbers that every type has
            p.copy_((0.05 * torch.randn(p.shape, generator=generator)).to(torch.bfloat16).to(p.dtype))
    grads = [[_gradient(p, generator) for p in truth.parameters()] for _ in range(UPDATES)]
    truth = truth.to(device)
    low, before = copy.deepcopy(truth).to(dtype), copy.deepcopy(truth)
    reference = truth.double() if device.type != "mps" else truth
    for network in (reference, low):
        try:
            optimizer = make(network)
            for own in grads:
                for p, grad in zip(network.parameters(), own, strict=True):
                    p.grad = grad.to(p)
                optimizer.step()
        except RuntimeError as error:
            return f"fails ({error})"
    stuck = should_move = too_far = 0
    for p, q, start in zip(low.parameters(), reference.parameters(), before.parameters(), strict=True):
        moved = (q - start).abs()
        rounding = UPDATES * torch.finfo(dtype).eps * (4 * start.abs() + 8 * moved + 1e-3)
        if bool((q.isfinite() & ~p.isfinite()).any()):
            return "gives weights that are not finite"
        too_far += int(((p.to(q) - start).abs() > 4 * moved + rounding).sum())
        stuck += int((p.to(q) == start)[moved > rounding].sum())
        should_move += int((moved > rounding).sum())
    if too_far > 0.05 * sum(p.numel() for p in low.parameters()):
        return "moves weights several times as far as it should"
    # A single weight may stand still by chance, where rounding turns a step (of SOAP, in directions without gradients).
    return "does not move weights that have gradients" if stuck > 0.05 * should_move else None


def _gradient(p: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Of usual sizes: a quarter 0, as behind units that are off, the rest around 0.0001, 0.01 and 1; of one weight they
    stay of one size."""
    grad = torch.randn(p.shape, generator=generator)
    kind = torch.arange(p.numel()).view(p.shape) * 5 % 7 % 4
    return (grad * torch.tensor([0.0, 0.0001, 0.01, 1.0])[kind]).to(torch.bfloat16)


def refusal(name: str, options: Mapping[str, Any], reason: str, dtype: torch.dtype) -> str:
    eps = ", or a larger optimizer.eps" if any("eps" in key for key in options) else ""
    where = str(dtype).removeprefix("torch.")
    return (
        f"{name} {reason} in {where}, tried on a few weights. Use trainer.precision=bf16-mixed, which keeps them in "
        f"float32{eps}"
    )

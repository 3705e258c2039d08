"""Steps by torch's fused kernels, without what its optimizers find out anew in each step.

Before its kernel runs, `Optimizer.step()` gathers parameters and states, groups them by device and type, opens a range
for the profiler and looks for hooks. With a few thousand weights that takes several times as long as the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from paribus.base.torch_internals import foreach, fused_adam, fused_adamw, fused_sgd, has_step_hooks

Group = dict[str, Any]
_add_ = foreach("add_")


class FusedStep:
    """optimizer.step(), bit for bit: SGD, Adam and AdamW with fused=True straight to their kernels.

    Every other optimizer takes its own step, and so do these until they have their state, and wherever a parameter has
    no gradient, or the optimizer has hooks. Rates, momentum and state may change from step to step. No gradient scaler
    is asked.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self._launch = _KERNELS.get(type(optimizer))
        self._state: Any = None  # that the tensors below are of: loading a state replaces it
        self._parameters: list[list[Tensor]] = []
        self._tensors: list[list[list[Tensor]]] = []  # of the state, by group and by name

    def __call__(self) -> None:
        groups = self.optimizer.param_groups
        if self.optimizer.state is not self._state or len(groups) != len(self._parameters):
            self.optimizer.step()
            if self._launch is not None:
                self._gather()
            return
        grads = [[p.grad for p in parameters] for parameters in self._parameters]
        if any(grad is None for of_group in grads for grad in of_group):
            self.optimizer.step()
            return
        if any(len(own) != len(_state_names(group)) for group, own in zip(groups, self._tensors, strict=True)):
            self.optimizer.step()  # a schedule has brought momentum to 0, where there is no buffer, or back
            self._gather()
            return
        assert self._launch is not None
        with torch.no_grad():
            for group, parameters, own, tensors in zip(groups, self._parameters, grads, self._tensors, strict=True):
                self._launch(group, parameters, own, tensors)

    def _gather(self) -> None:
        """Look up the tensors of the state, once all are there."""
        optimizer, groups = self.optimizer, self.optimizer.param_groups
        parameters = [list(group["params"]) for group in groups]
        every = [p for of_group in parameters for p in of_group]
        alike = len({(p.device, p.dtype) for p in every}) == 1 and not any(isinstance(g["lr"], Tensor) for g in groups)
        if not alike or has_step_hooks(optimizer) or not all(group.get("fused") for group in groups):
            self._launch = None
            return
        tensors = []
        for group, own in zip(groups, parameters, strict=True):
            states = [optimizer.state.get(p) or {} for p in own]
            names = _state_names(group)
            if any(not isinstance(state.get(name), Tensor) for state in states for name in names):
                return
            tensors.append([[state[name] for state in states] for name in names])
        self._state, self._parameters, self._tensors = optimizer.state, parameters, tensors


def _state_names(group: Group) -> list[str]:
    if "betas" in group:
        return ["step", "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
    return ["momentum_buffer"] if group["momentum"] else []


def _sgd(group: Group, parameters: list[Tensor], grads: list[Any], tensors: list[list[Tensor]]) -> None:
    fused_sgd(
        parameters,
        grads,
        tensors[0] if tensors else [],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )


def _adam(group: Group, parameters: list[Tensor], grads: list[Any], tensors: list[list[Tensor]]) -> None:
    _adaptive(fused_adam, group, parameters, grads, tensors)


def _adamw(group: Group, parameters: list[Tensor], grads: list[Any], tensors: list[list[Tensor]]) -> None:
    _adaptive(fused_adamw, group, parameters, grads, tensors)


def _adaptive(
    kernel: Callable[..., None],
    group: Group,
    parameters: list[Tensor],
    grads: list[Any],
    tensors: list[list[Tensor]],
) -> None:
    steps, first, second, *greatest = tensors
    _add_(steps, 1)
    kernel(
        parameters,
        grads,
        first,
        second,
        greatest[0] if greatest else [],
        steps,
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=group["amsgrad"],
        maximize=group["maximize"],
    )


_KERNELS: dict[type[Optimizer], Callable[..., None]] = {
    optimizer: launch
    for optimizer, launch, kernel in ((SGD, _sgd, fused_sgd), (Adam, _adam, fused_adam), (AdamW, _adamw, fused_adamw))
    if kernel is not None
}

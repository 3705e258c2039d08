"""A whole update of a stack as one program: gradients and the optimizers' steps, compiled together.

In a stack of small networks, an update is bound by memory. Compiled together, the gradient of a weight goes into its
step while it is in the cache, and nothing is called from Python but the program.

Rates and all other numbers of the optimizers are inputs, so one program serves every rate, seed and arm of a stack of
this size.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from paribus.base.torch_internals import foreach, has_step_hooks
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.optimizers import NoState, StackedOptimizers
from paribus.extras.stack.packages import Packaged, packaged
from paribus.extras.stack.products import fast_products
from paribus.extras.stack.program import COMPILED, Gradients, brief, log, results
from paribus.store.checksums import sha256

Group = dict[str, Any]
add_ = foreach("add_")


@dataclass(frozen=True)
class Rule:
    """An optimizer as a formula.

    state: the names of what it keeps for each parameter, in the parameter's shape.
    numbers: (group, number of this step, from 1 on) -> what the formula takes of it.
    step: (parameter, gradient, state, numbers) -> the next parameter and state. Numbers have a value for each replica,
        (R, 1, ..., 1).
    """

    state: tuple[str, ...]
    numbers: Callable[[Group, float], tuple[float, ...]]
    step: Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], list[Tensor]]


def _sgd_numbers(group: Group, step: float) -> tuple[float, ...]:
    return group["lr"], group["weight_decay"], group["momentum"], 1.0 - group["dampening"]


def _sgd(p: Tensor, grad: Tensor, state: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
    lr, decay, momentum, new = numbers
    buffer = momentum * state[0] + new * (grad + decay * p)
    return [p - lr * buffer, buffer]


def _nesterov(p: Tensor, grad: Tensor, state: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
    lr, decay, momentum, new = numbers
    grad = grad + decay * p
    buffer = momentum * state[0] + new * grad
    return [p - lr * (grad + momentum * buffer), buffer]


def _descent(p: Tensor, grad: Tensor, state: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
    lr, decay, *_ = numbers
    return [p - lr * (grad + decay * p)]


def _adam_numbers(group: Group, step: float) -> tuple[float, ...]:
    lr, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
    corrected = math.sqrt(1.0 - beta2**step)
    return lr / (1.0 - beta1**step), decay, 1.0 - lr * decay, beta1, beta2, corrected, group["eps"]


def _adam(p: Tensor, grad: Tensor, state: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
    lr, decay, _, *rest = numbers
    return _adaptive(p, grad + decay * p, state, lr, *rest)


def _adamw(p: Tensor, grad: Tensor, state: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
    lr, _, kept, *rest = numbers
    return _adaptive(kept * p, grad, state, lr, *rest)


def _adaptive(
    p: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    lr: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    corrected: Tensor,
    eps: Tensor,
) -> list[Tensor]:
    mean = state[0] + (1.0 - beta1) * (grad - state[0])
    square = beta2 * state[1] + (1.0 - beta2) * grad * grad
    return [p - lr * mean / (square.sqrt() / corrected + eps), mean, square]


MOMENTS = ("exp_avg", "exp_avg_sq")
RULES = {
    "descent": Rule((), _sgd_numbers, _descent),
    "momentum": Rule(("momentum_buffer",), _sgd_numbers, _sgd),
    "nesterov": Rule(("momentum_buffer",), _sgd_numbers, _nesterov),
    "adam": Rule(MOMENTS, _adam_numbers, _adam),
    "adamw": Rule(MOMENTS, _adam_numbers, _adamw),
}


def formula(optimizers: StackedOptimizers) -> str | None:
    """The name of the formula in RULES that all optimizers of a stack follow now; None where there is no such one."""
    if not all(part.elementwise and not has_step_hooks(part.optimizer) for part in optimizers.parts):
        return None
    found = {_formula(part.optimizer, group) for part in optimizers.parts for group in part.optimizer.param_groups}
    return found.pop() if len(found) == 1 else None


def _formula(optimizer: Optimizer, group: Group) -> str | None:
    cls = type(optimizer)
    if group.get("maximize") or group.get("amsgrad") or isinstance(group["lr"], Tensor):
        return None
    if cls is SGD:
        return "nesterov" if group["nesterov"] else "momentum" if group["momentum"] else "descent"
    if cls is Adam or cls is AdamW:
        return "adamw" if group.get("decoupled_weight_decay", cls is AdamW) else "adam"
    return None


@functools.cache
def _source() -> str:
    """Of the formulas above: a package is of their present form."""
    return sha256(Path(__file__))


class _Program(nn.Module):
    """An update in the form that torch exports: tensors in, losses and outputs out, and the rest in place.

    inputs: parameters and buffers; the optimizers' state of each trained parameter; the numbers of the formula
        (rows, numbers, R); x and y.
    trained: of each gradient of the graph, the number of its parameter, and the row of its numbers.
    """

    def __init__(self, graph: fx.GraphModule, rule: Rule, trained: Sequence[tuple[int, int]], tensors: int):
        super().__init__()
        self.graph, self.rule, self.trained, self.tensors = graph, rule, trained, tensors

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        own, rest = inputs[: self.tensors], list(inputs[self.tensors :])
        states = [[rest.pop(0) for _ in self.rule.state] for _ in self.trained]
        numbers, x, y = rest
        losses, outputs, *found = self.graph(*own, x, y)
        grads = [grad for grad in found if grad is not None]
        for grad, state, (place, row) in zip(grads, states, self.trained, strict=True):
            shape = (-1, *[1] * (grad.ndim - 1))
            columns = [each.view(shape) for each in numbers[row].unbind(0)]
            after = self.rule.step(own[place], grad, state, columns)
            for tensor, value in zip([own[place], *state], after, strict=True):
                tensor.copy_(value)
        return losses, outputs


class WholeUpdate:
    """Updates of a stack by compiled programs, where the optimizers of all replicas follow one formula.

    (x, y) -> losses (R,), outputs (R, N, O). Parameters, moving statistics and the optimizers' states are then those
    after the update. None, and nothing has happened, where the update has to be taken in parts: the first one, in
    which the optimizers make their states, and a size of batches that is too rare to be compiled.

    gradients: of the stack; of it the traces are used.
    """

    def __init__(self, gradients: Gradients, optimizers: StackedOptimizers):
        self.gradients, self.optimizers = gradients, optimizers
        self._made: dict[Any, tuple[Packaged, list[str]]] = {}
        self._bound: tuple[Any, list[Any], StackedState] | None = None  # what it was made for, and the state
        self.works = True

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        gradients = self.gradients
        if not (self.works and gradients.traceable and gradients.steady):
            return None
        share, name = gradients.share_of(x), formula(self.optimizers)
        if share is None or share < COMPILED or name is None:
            return None
        rule = RULES[name]
        try:
            program, trained = self._program(name, rule, x, y)
        except NoState:
            return None
        except Exception as error:  # a machine may have no compiler
            log.info("updates of the stack are not compiled as a whole (%s)", brief(error))
            self.works, gradients.compile = False, True
            return None
        state = self._state(rule, trained)
        with fast_products():
            losses, outputs = program([*state.tensors, state.numbers(), x, y])
        state.count()
        return losses, outputs

    def _program(self, name: str, rule: Rule, x: Tensor, y: Tensor) -> tuple[Packaged, list[str]]:
        """The program for batches of this kind, and the parameters that it trains."""
        kind, states = self.gradients.kind_of(x, y)
        key = (name, *kind, *states)
        if key not in self._made:
            graph = self.gradients.trace(x, y).module()
            found = zip(self.gradients.names, results(graph)[2:], strict=True)
            trained = [parameter for parameter, grad in found if grad is not None]
            state = self._state(rule, trained)
            stack = self.gradients.stack
            places = {each: place for place, each in enumerate(stack.stacked())}
            listed = [(places[each], row) for each, row in zip(trained, state.rows, strict=True)]
            module = _Program(graph, rule, listed, len(places))
            inputs = [*state.tensors, state.numbers(), x, y]
            self._made[key] = packaged(module, graph, (name, listed, _source()), inputs), trained
        return self._made[key]

    def _state(self, rule: Rule, trained: Sequence[str]) -> StackedState:
        key, states = (rule.state, *trained, *self.gradients.stack.places()), self.optimizers.states()
        if self._bound is None or self._bound[0] != key or any(map(operator.is_not, self._bound[1], states)):
            self._bound = key, states, StackedState(self.gradients.stack, self.optimizers, rule, trained)
        return self._bound[2]


def whole_updates(gradients: Gradients, optimizers: StackedOptimizers, in_parts: bool = False) -> WholeUpdate | None:
    """The whole updates of a stack whose gradients shall be compiled, where there can be any: its gradients by
    themselves, which the other updates need, are then not compiled.

    in_parts: somebody works on the gradients between the backward pass and the step.
    """
    on_cpu = next(iter(gradients.stack.parameters())).device.type == "cpu"
    if in_parts or not (gradients.compile and on_cpu and formula(optimizers)):
        return None
    gradients.compile = False
    return WholeUpdate(gradients, optimizers)


class StackedState:
    """The state of all optimizers of a stack as tensors (R, ...), of which each optimizer has its rows.

    tensors: parameters, buffers and states, as a program takes them. rows: of each trained parameter, that of its
        numbers.

    Raises NoState where optimizers have none yet.
    """

    def __init__(self, stack: StackedNetwork, optimizers: StackedOptimizers, rule: Rule, trained: Sequence[str]):
        self.rule = rule
        stacked = stack.stacked()
        own = {name: optimizers.gathered(name, rule.state, stacked[name].detach()) for name in trained}
        self.tensors = [each.detach() for each in stacked.values()] + [each for name in trained for each in own[name]]
        self._like = stacked[trained[0]]
        kinds: dict[tuple[int, ...], int] = {}
        groups: dict[int, tuple[Group, Any]] = {}
        self.rows: list[int] = []
        for name in trained:
            found = optimizers.groups_of_parameter(name)
            groups.update({id(group): (group, state) for group, state in found})
            self.rows.append(kinds.setdefault(tuple(id(group) for group, _ in found), len(kinds)))
        self._groups = list(groups.values())
        number = {each: place for place, each in enumerate(groups)}
        self._index = torch.tensor([[number[each] for each in kind] for kind in kinds])
        self._steps = [state["step"] for state in optimizers.all_states() if "step" in state]
        self._last: tuple[Any, Tensor] | None = None

    def numbers(self) -> Tensor:
        """Of the next step, (rows, numbers, R)."""
        steps = [float(state["step"]) + 1.0 if "step" in state else 1.0 for _, state in self._groups]
        values = [self.rule.numbers(group, step) for (group, _), step in zip(self._groups, steps, strict=True)]
        if self._last is None or self._last[0] != values:
            made = torch.tensor(values, dtype=torch.float64)[self._index].movedim(2, 1)
            self._last = values, made.to(self._like).contiguous()
        return self._last[1]

    def count(self) -> None:
        if self._steps:
            add_(self._steps, 1)

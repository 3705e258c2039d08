"""The program of a stack: a straight list of batched operations, traced once and replayed from then on.

Calling a network under vmap costs milliseconds of Python: each operation passes torch.func's interpreter, then autograd
records it, and goes back through it. What reaches the kernels is the same in every update. So it is written down once,
forward and backward together, and called without either.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from paribus.base.torch_internals import below_autograd, has_hooks
from paribus.extras.stack.network import StackedNetwork, State
from paribus.extras.stack.packages import packaged
from paribus.extras.stack.products import fast_products
from paribus.extras.stack.rewrite import simplify, specialise
from paribus.extras.stack.task import StackedTask
from paribus.extras.stack.trace import Trace, record
from paribus.run.metrics import wide

log = logging.getLogger("paribus")
WORTH = 10  # calls with a shape: over so many, vmap costs what a trace takes
COMPILED = 0.1  # of all calls: shapes with a smaller share, as the rest at the end of an epoch has, are not compiled
_KNOWN = ("torch.nn.", "paribus.models.", "paribus.techniques.")
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

Program = Callable[..., tuple[Any, ...]]


class Replayed:
    """`compute`, called under vmap until a trace of it pays.

    Shapes have traces of their own, as have the states of modules that follow the progress of training; a shape of
    which a run has too few is not traced, nor are states that do not stand still. Nor is a network that may do
    something else in every call, of which a trace would repeat one: see `repeatable`.

    What is traced follows from the run and from where it is, never from when it was resumed: a trace rounds otherwise
    than vmap does.

    calls: how many a whole run makes, by the number of samples; a number where all are alike.
    steady: whether the modules that follow the progress of training are as they were in the update before.
    compile: compile the traces, and nothing that is not traced. Each takes seconds to a minute, and a fraction of that
        where torch finds it on the disk.
    """

    returned_anew: int  # how many of the results, from the first on, the next call leaves alone
    dim: int  # of the samples in x

    def __init__(self, stack: StackedNetwork, task: StackedTask, calls: int | Mapping[int, int], compile: bool = False):
        self.stack = stack
        self.task = task
        self.calls = calls
        self.compile = compile
        self.steady = True
        self._following = [module for module in stack.program.modules() if hasattr(module, "set_progress")]
        self._programs: dict[tuple[Any, ...], Program] = {}

    def compute(self, parameters: State, buffers: State, x: Tensor, y: Tensor) -> tuple[Any, ...]:
        """Tensors, and None for those that there are not. Buffers may be changed in place."""
        raise NotImplementedError

    @functools.cached_property
    def traceable(self) -> bool:
        """Found out in the first call, in the mode (training or evaluation) that all of them are in."""
        return all(map(repeatable, self.stack.program.modules()))

    def replay(self, x: Tensor, y: Tensor) -> tuple[Any, ...]:
        """`compute` with the state of the stack."""
        with fast_products():
            program = self._program(x, y) if self.traceable else None
            if program is not None:
                return program(x, y)
            return self.compute(self.stack.own_parameters(), self.stack.own_buffers(), x, y)

    def _program(self, x: Tensor, y: Tensor) -> Program | None:
        """What batches of this kind are worth by now; None: vmap."""
        kind, states = self.kind_of(x, y)
        key = (*kind, *self.stack.places(), *states)  # a trace knows its state by where that lies
        if not self.steady:  # a state of a ramp, which may never come again
            return None
        program = self._programs.get(key)
        try:
            if program is None and (share := self.share_of(x)) is not None:
                program = self._made(x, y, self.compile and share >= COMPILED)
                self._programs[key] = program
        except Exception as error:  # a network may do anything, and it works untraced
            log.info("the stack is called under vmap every time, untraced (%s)", brief(error))
            self.traceable = False
        return program

    def kind_of(self, x: Tensor, y: Tensor) -> tuple[tuple[Any, ...], list[Any]]:
        """What must be equal for one trace to stand for several batches: how they lie, and the states of modules that
        follow the progress of training."""
        autocast = torch.is_autocast_enabled(x.device.type)
        states: Any = [module.progress_state for module in self._following]
        return (x.shape, x.stride(), x.dtype, y.shape, y.dtype, autocast), states

    def share_of(self, x: Tensor) -> float | None:
        """Of all calls of the run, those with so many samples; None where they are too few to pay."""
        samples = x.shape[self.dim]
        if isinstance(self.calls, int):
            return 1.0 if self.calls >= WORTH else None
        own = self.calls.get(samples, 0)
        return own / sum(self.calls.values()) if own >= WORTH else None

    def _made(self, x: Tensor, y: Tensor, compile: bool) -> Program:
        """What takes x and y: a trace, as it is or compiled."""
        if compile:
            try:
                return self._compiled(self.trace(x, y).module(), x, y)
            except Exception as error:  # a machine may have no compiler
                log.info("the stack is not compiled (%s)", brief(error))
                self.compile = False
        trace = self.trace(x, y)
        specialise(trace, list(self.stack.stacked().values()), self.returned_anew)
        return _below_autograd(trace.module())

    def trace(self, x: Tensor, y: Tensor) -> Trace:
        """Of all parameters, all buffers, x and y."""
        own, buffers = self.stack.own_parameters(), self._copied_buffers()
        parameters = [p.detach().requires_grad_(p.requires_grad) for p in own.values()]

        def compute(*tensors: Tensor) -> tuple[Any, ...]:
            *state, x, y = tensors
            given = dict(zip([*own, *buffers], state, strict=True))
            return self.compute({n: given[n] for n in own}, {n: given[n] for n in buffers}, x, y)

        cached = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)  # weights that were cast before would become constants
        try:
            trace = record(compute, [*parameters, *buffers.values(), x, y])
        finally:
            torch.set_autocast_cache_enabled(cached)
        simplify(trace)
        return trace

    def _compiled(self, graph: fx.GraphModule, x: Tensor, y: Tensor) -> Program:
        if x.device.type == "cpu":
            state = [each.detach() for each in self.stack.stacked().values()]
            run = packaged(_OnlyTensors(graph), graph, "gradients", [*state, x, y])
            given = [result is not None for result in results(graph)]

            def program(x: Tensor, y: Tensor) -> tuple[Any, ...]:
                found = iter(run([*state, x, y]))
                return tuple(next(found) if own else None for own in given)

            return program
        # Called once, since torch compiles what is called.
        compiled: Program = torch.no_grad()(torch.compile(graph, fullgraph=True, dynamic=False))
        compiled(*self.stack.own_parameters().values(), *self._copied_buffers().values(), x, y)
        return functools.partial(compiled, *self.stack.stacked().values())

    def _copied_buffers(self) -> State:
        return {name: buffer.clone() for name, buffer in self.stack.own_buffers().items()}


class Gradients(Replayed):
    """x (R, N, ...), y (R, N) -> loss of each replica (R,), outputs (R, N, O), gradients {name: (R, ...)}.

    The gradient of a replica is that of its own mean loss, contiguous, and lies where it lay before: the next call may
    write over it. Parameters that the loss does not depend on have none. Moving statistics are updated in place, as in
    a forward pass in training.
    """

    returned_anew = 2
    dim = 1

    def __init__(self, stack: StackedNetwork, task: StackedTask, calls: int | Mapping[int, int], compile: bool = False):
        super().__init__(stack, task, calls, compile)
        self.names = list(stack.trained())

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        losses, outputs, *found = self.replay(x, y)
        return losses, outputs, {n: g for n, g in zip(self.names, found, strict=True) if g is not None}

    def compute(self, parameters: State, buffers: State, x: Tensor, y: Tensor) -> tuple[Any, ...]:
        outputs = self.stack.call(parameters, buffers, x)
        losses = self.task.losses(outputs, y)
        trained = [parameters[name] for name in self.names]
        ones = torch.ones(len(self.stack), dtype=losses.dtype, device=losses.device)
        found = torch.autograd.grad(losses, trained, ones, allow_unused=True)
        return losses.detach(), outputs.detach(), *(None if grad is None else grad.contiguous() for grad in found)


class EvaluationSums(Replayed):
    """x (N, ...), y (N,), the same for all replicas, in evaluation mode -> the sums (R, S) of its evaluation."""

    returned_anew = 1
    dim = 0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        sums: Tensor = self.replay(x, y)[0]
        return sums

    def compute(self, parameters: State, buffers: State, x: Tensor, y: Tensor) -> tuple[Any, ...]:
        return (self.task.evaluation_sums(self.stack.call(parameters, buffers, x, shared=True), y, wide(x.device)),)


def _below_autograd(module: fx.GraphModule) -> Program:
    """Its operations go to the kernels without counting versions or keeping track of views, 0.3 µs each."""
    forward = module.forward

    def program(*inputs: Tensor) -> tuple[Any, ...]:
        with below_autograd():
            results: tuple[Any, ...] = forward(*inputs)
        return results

    return program


class _OnlyTensors(nn.Module):
    def __init__(self, graph: fx.GraphModule):
        super().__init__()
        self.graph = graph

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(result for result in self.graph(*inputs) if result is not None)


def results(graph: fx.GraphModule) -> tuple[Any, ...]:
    """What a traced function returns: a node for each tensor, and None where there is none."""
    *_, output = graph.graph.nodes
    found: tuple[Any, ...] = output.args[0]
    return found


def brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def repeatable(module: nn.Module) -> bool:
    """Whether a module does the same to its inputs, parameters and buffers in every call.

    torch's and ours do, but for dropout; those that follow the progress of training (set_progress) say what they have
    made of it in progress_state. Others may count calls or draw numbers from Python's generator, and so may hooks;
    nobody can tell from outside.
    """
    if isinstance(module, _DROPOUTS):
        return module.p == 0.0 or not module.training
    known = type(module).__module__.startswith(_KNOWN) and "forward" not in vars(module)
    return known and not has_hooks(module) and hasattr(module, "set_progress") == hasattr(module, "progress_state")

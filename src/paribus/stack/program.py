"""The gradients of a stack as a straight list of batched operations, traced once and replayed in every update.

Calling a network under vmap costs milliseconds of Python: each operation passes torch.func's interpreter, then autograd
records it, and goes back through it. What reaches the kernels is the same in every update. So it is written down once,
forward and backward together, and called without either.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from paribus.stack.evaluation import StackedLoss
from paribus.stack.network import StackedNetwork, State
from paribus.stack.products import fast_products

log = logging.getLogger("paribus")
aten = torch.ops.aten
WORTH = 50  # batches of a shape: over so many, vmap costs what a trace takes
COMPILED = 0.1  # of all batches: shapes with a smaller share, as the rest at the end of an epoch has, are not compiled

Found = tuple[Tensor, Tensor, dict[str, Tensor]]
Program = Callable[..., tuple[Any, ...]]


class Gradients:
    """x (R, N, ...), y (R, N) -> loss of each replica (R,), predicted classes (R, N), gradients {name: (R, ...)}.

    The gradient of a replica is that of its own mean loss, contiguous; parameters that the loss does not depend on
    have none. Moving statistics are updated in place, as in a forward pass in training.

    batches: how many there will be. Shapes have traces of their own, as have the states of modules that follow the
        progress of training; one that has not come twice, or of which too few are to come, should it keep its share, is
        not traced, as is the rest at the end of an epoch. Nor is a network that may do something else in every update,
        of which a trace would repeat one: see `repeatable`.
    compile: compile the traces, and nothing that is not traced. Each takes seconds to a minute, and a fraction of that
        where torch finds it on the disk.
    """

    def __init__(self, stack: StackedNetwork, loss: StackedLoss, batches: int, compile: bool = False):
        self.stack = stack
        self.loss = loss
        self.batches = batches
        self.compile = compile
        self.traceable = all(map(repeatable, stack.program.modules()))
        self._following = [module for module in stack.program.modules() if hasattr(module, "set_progress")]
        self._names = list(stack.trained())
        self._programs: dict[tuple[Any, ...], Program] = {}
        self._seen: Counter[tuple[Any, ...]] = Counter()
        self._calls = 0

    @fast_products()
    def __call__(self, x: Tensor, y: Tensor) -> Found:
        program = self._program(x, y) if self.traceable else None
        parameters, buffers = self.stack.own_parameters(), self.stack.own_buffers()
        if program is None:
            losses, predicted, *found = self._compute(parameters, buffers, x, y)
        else:
            with torch.no_grad():
                losses, predicted, *found = program(*parameters.values(), *buffers.values(), x, y)
        return losses, predicted, {n: g for n, g in zip(self._names, found, strict=True) if g is not None}

    def _program(self, x: Tensor, y: Tensor) -> Program | None:
        """What batches of this kind are worth by now, made on copies of the moving statistics; None: vmap."""
        autocast = torch.is_autocast_enabled(x.device.type)
        states: Any = [module.progress_state for module in self._following]
        key = (x.shape, x.stride(), x.dtype, y.shape, y.dtype, autocast, *states)
        self._calls += 1
        self._seen[key] += 1
        to_come = (self.batches - self._calls + 1) * self._seen[key] / self._calls
        program = self._programs.get(key)
        try:
            # A state that has not come twice may be one of a ramp, and never come again.
            if program is None and to_come >= WORTH and self._seen[key] > bool(self._following):
                program = self._programs[key] = self._trace(x, y)
        except Exception as error:  # a network may do anything, and it works untraced
            log.info("the stack is called under vmap in every update, untraced (%s)", _brief(error))
            self.traceable = False
        try:
            if self.compile and isinstance(program, fx.GraphModule) and to_come >= COMPILED * self.batches:
                program = self._programs[key] = self._compiled(program, x, y)
        except Exception as error:  # a machine may have no compiler
            log.info("the stack is not compiled (%s)", _brief(error))
            self.compile = False
        return program

    def _compute(self, parameters: State, buffers: State, x: Tensor, y: Tensor) -> tuple[Any, ...]:
        losses, predicted = self.loss(self.stack.call(parameters, buffers, x), y)
        trained = [parameters[name] for name in self._names]
        found = torch.autograd.grad(losses.sum(), trained, allow_unused=True)
        return losses.detach(), predicted, *(None if grad is None else grad.contiguous() for grad in found)

    def _trace(self, x: Tensor, y: Tensor) -> fx.GraphModule:
        """The graph that takes all parameters, all buffers, x and y."""
        own, buffers = self.stack.own_parameters(), self._copied_buffers()
        parameters = [p.detach().requires_grad_(p.requires_grad) for p in own.values()]

        def compute(*tensors: Tensor) -> tuple[Any, ...]:
            *state, x, y = tensors
            given = dict(zip([*own, *buffers], state, strict=True))
            return self._compute({n: given[n] for n in own}, {n: given[n] for n in buffers}, x, y)

        cached = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)  # weights that were cast before would become constants
        try:
            with _short_stacks():
                graph = make_fx(compute)(*parameters, *buffers.values(), x, y)
        finally:
            torch.set_autocast_cache_enabled(cached)
        _simplify(graph)
        return graph

    def _compiled(self, graph: fx.GraphModule, x: Tensor, y: Tensor) -> Program:
        """Called once, since torch compiles what is called."""
        program: Program = torch.compile(graph, fullgraph=True, dynamic=False)
        with torch.no_grad():
            program(*self.stack.own_parameters().values(), *self._copied_buffers().values(), x, y)
        return program

    def _copied_buffers(self) -> State:
        return {name: buffer.clone() for name, buffer in self.stack.own_buffers().items()}


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def repeatable(module: nn.Module) -> bool:
    """Whether a module does the same to its inputs, parameters and buffers in every update.

    torch's and ours do, but for dropout; those that follow the progress of training (set_progress) say what they have
    made of it in progress_state. Others may count calls or draw numbers from Python's generator, and so may hooks;
    nobody can tell from outside.
    """
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p == 0.0
    known = type(module).__module__.startswith(("torch.nn.", "paribus.nn."))
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return known and not hooks and hasattr(module, "set_progress") == hasattr(module, "progress_state")


@contextmanager
def _short_stacks() -> Iterator[None]:
    """make_fx looks up the source lines of the whole stack of calls at every operation: most of its time."""
    limit = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if limit is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = limit


def _simplify(graph: fx.GraphModule) -> None:
    """Leave out what only autograd and vmap needed, and what holds on to the tensors of the tracing."""
    for node in list(graph.graph.nodes):
        if node.target is aten.detach.default or _changes_nothing(node):
            node.replace_all_uses_with(node.args[0])
        elif node.target in _SOFTMAX and _short_rows(node.meta["val"]):
            _over_columns(graph.graph, node)
    graph.graph.eliminate_dead_code()
    for node in graph.graph.nodes:
        node.meta.clear()
    graph.recompile()


def _changes_nothing(node: Any) -> bool:
    """A view in the shape, or a permutation in the order, that the tensor has already."""
    if node.target is aten.view.default:
        given = node.args[0].meta.get("val")  # a constant has none
        return given is not None and list(node.args[1]) == list(given.shape)
    return node.target is aten.permute.default and list(node.args[1]) == sorted(node.args[1])


_SOFTMAX = {aten._log_softmax.default: 1, aten._log_softmax_backward_data.default: 2}  # number of tensors they take
REGISTER = {"AVX2": 32, "AVX512": 64}.get(torch.backends.cpu.get_cpu_capability(), 0)  # bytes


def _short_rows(x: Tensor) -> bool:
    """Whether rows of (M, K) do not fill a register: torch's kernel then takes their numbers one by one.

    Three times slower over ten classes with AVX-512 than what `_over_columns` makes of it; longer rows are as much
    faster.
    """
    single = x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu"
    return single and x.ndim == 2 and x.shape[1] * x.element_size() < REGISTER


def _over_columns(graph: fx.Graph, node: Any) -> None:
    """log_softmax over the rows of (M, K), or its gradient, as one over the columns of a transposed copy."""
    tensors, (dim, *rest) = node.args[: _SOFTMAX[node.target]], node.args[_SOFTMAX[node.target] :]
    if dim not in (1, -1):
        return

    def transposed(x: Any) -> Any:
        return graph.call_function(aten.contiguous.default, (graph.call_function(aten.t.default, (x,)),))

    with graph.inserting_before(node):
        columns = graph.call_function(node.target, (*map(transposed, tensors), 0, *rest))
        rows = transposed(columns)
    rows.meta = dict(node.meta)
    node.replace_all_uses_with(rows)

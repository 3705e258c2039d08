"""The operations that reach the kernels while a function is called, as a graph that can be called in its place."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate
from torch.utils.weak import WeakTensorKeyDictionary

from paribus.base.torch_internals import DispatchMode

aten = torch.ops.aten


class Layout(NamedTuple):
    """How the tensor lies that a node stands for; in its meta["layout"]."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass
class Trace:
    """A graph of aten's operations, and the tensors that it knows by name."""

    graph: fx.Graph = field(default_factory=fx.Graph)
    attributes: dict[str, Tensor] = field(default_factory=dict)

    def module(self) -> fx.GraphModule:
        module = fx.GraphModule(self.attributes, self.graph)
        module.__dict__.update(self.attributes)  # where Python finds them first, and at once
        return module


def record(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor]) -> Trace:
    """function(*inputs), called once and written down without what autograd, vmap and modules do around the operations.

    Tensors that are neither inputs nor made of them are attributes of the trace, "constant0" and so on.

    Raises RuntimeError where the function looks at values or draws random numbers: a trace would repeat what it did.
    """
    trace = Trace()
    recorder = _Recorder(trace)
    for number, tensor in enumerate(inputs):
        recorder.add(trace.graph.placeholder(f"input{number}"), tensor)
    with recorder:
        results = function(*inputs)
    trace.graph.output(tuple(None if result is None else recorder.node_of(result) for result in results))
    return trace


class _Recorder(DispatchMode):
    """torch's make_fx without what it does for shapes that may change, which is most of its time."""

    def __init__(self, trace: Trace):
        super().__init__()
        self.trace = trace
        self._nodes: Any = WeakTensorKeyDictionary()
        self._memory: set[int] = set()  # of the inputs and of everything made of them

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise RuntimeError(f"{func} draws random numbers")
        if func is aten.lift_fresh.default:  # torch.tensor(): a new constant, which may be changed in place
            func = aten.lift_fresh_copy.default
            # It may have the memory of something that is gone.
            self._memory = {tensor.untyped_storage().data_ptr() for tensor in self._nodes}
        node = self.trace.graph.call_function(func, *map_aggregate((args, kwargs), self._argument))
        results = func(*args, **kwargs)
        if isinstance(results, Tensor):
            self.add(node, results)
        elif isinstance(results, (tuple, list)):
            for number, result in enumerate(results):
                if isinstance(result, Tensor):
                    self.add(self.trace.graph.call_function(operator.getitem, (node, number)), result)
        elif results is not None:
            raise RuntimeError(f"{func} looks at values, here {results!r}")
        return results

    def add(self, node: fx.Node, tensor: Tensor) -> None:
        node.meta["layout"] = Layout(tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        self._nodes[tensor] = node
        self._memory.add(tensor.untyped_storage().data_ptr())

    def node_of(self, tensor: Tensor) -> fx.Node:
        node: fx.Node | None = self._nodes.get(tensor)
        if node is None:
            if tensor.numel() and tensor.untyped_storage().data_ptr() in self._memory:
                raise RuntimeError(f"a tensor of shape {tuple(tensor.shape)} came about unseen")
            name = f"constant{len(self.trace.attributes)}"
            self.trace.attributes[name] = tensor.detach()
            node = self.trace.graph.get_attr(name)
            self.add(node, tensor)
        return node

    def _argument(self, value: Any) -> Any:
        return self.node_of(value) if isinstance(value, Tensor) else value

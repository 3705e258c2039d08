"""The rewriting of a trace: without views of the state, constants, and memory of its own for each step.

An operation on a few kilobytes costs its call, some 2 µs, and one on a megabyte the way to where that lies.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from paribus.base.torch_internals import OpOverload, schema
from paribus.extras.stack.trace import Layout, Trace

aten = torch.ops.aten
Node = Any  # an fx.Node; its target and its arguments may be anything

IN_PLACE = {
    aten.relu.default: aten.relu_.default,
    aten.add.Tensor: aten.add_.Tensor,
    aten.sub.Tensor: aten.sub_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.div.Tensor: aten.div_.Tensor,
    aten.rsqrt.default: aten.rsqrt_.default,
}


def simplify(trace: Trace) -> None:
    """Leave out what only autograd and vmap needed."""
    for node in list(trace.graph.nodes):
        if node.target is aten.detach.default or _changes_nothing(node):
            node.replace_all_uses_with(node.args[0])
        elif node.target is aten.view.default and node.args[0].target is aten.view.default:
            node.args = (node.args[0].args[0], node.args[1])
    trace.graph.eliminate_dead_code()


def _changes_nothing(node: Node) -> bool:
    """A view in the shape, or a permutation in the order, that the tensor has already."""
    if node.target is aten.view.default:
        given = _layout(node.args[0])
        return given is not None and list(node.args[1]) == list(given.shape)
    return node.target is aten.permute.default and list(node.args[1]) == sorted(node.args[1])


def specialise(trace: Trace, state: Sequence[Tensor], returned_anew: int) -> None:
    """Make of a trace that takes `state` and other tensors one that takes the others alone, and does less in a call.

    state: the first inputs, whose memory stays where it is: they are attributes from now on, and views of them are made
        once, as is everything that follows from constants.
    returned_anew: how many of the results, from the first on, are new tensors in every call. The others lie where they
        lay before, as far as that can be had.
    """
    placeholders = [node for node in trace.graph.nodes if node.op == "placeholder"]
    for number, tensor in enumerate(state):
        _replace(trace, placeholders[number], tensor.detach(), f"state{number}")
    _fold(trace)
    _reuse(trace)
    trace.graph.eliminate_dead_code()
    _keep_results(trace, returned_anew)
    for node in trace.graph.nodes:
        _call_as_method(node)


def _fold(trace: Trace) -> None:
    """Views of attributes, and constants that nothing changes, in place of the operations that make them."""
    attributes = [node for node in trace.graph.nodes if node.op == "get_attr"]
    changed = {node.target for node in attributes if _is_changed(node)}
    constants = {node.target for node in attributes if node.target.startswith("constant")} - changed
    for number, node in enumerate(list(trace.graph.nodes)):
        operation, inputs = _operation(node), node.all_input_nodes
        if operation is None or schema(operation).is_mutable or any(own.op != "get_attr" for own in inputs):
            continue
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda own: trace.attributes[str(own.target)])
        value = operation(*args, **kwargs)
        if not isinstance(value, Tensor):
            continue
        name = f"known{number}"
        memory = {trace.attributes[own.target].untyped_storage().data_ptr() for own in inputs}
        if all(own.target in constants for own in inputs) and not _is_changed(node):
            constants.add(name)
        elif value.untyped_storage().data_ptr() not in memory:
            continue
        _replace(trace, node, value, name)


def _replace(trace: Trace, node: Node, value: Tensor, name: str) -> None:
    trace.attributes[name] = value
    with trace.graph.inserting_before(node):
        known = trace.graph.get_attr(name)
    known.meta = node.meta
    node.replace_all_uses_with(known)
    trace.graph.erase_node(node)


def _reuse(trace: Trace) -> None:
    """Elementwise operations write into their first argument where nothing needs it afterwards: it is in the cache."""
    order = {node: number for number, node in enumerate(trace.graph.nodes)}
    own: set[Node] = set()  # results in memory that nothing else has
    for node in trace.graph.nodes:
        if _operation(node) is None or not node.args:
            continue
        if not _may_alias(node):
            own.add(node)
        first = node.args[0]
        if first not in own or _layout(first) is None or _layout(first) != _layout(node):
            continue
        if any(order[user] > order[node] or (user is not node and _may_alias(user)) for user in first.users):
            continue
        if node.target in IN_PLACE:
            node.target = IN_PLACE[node.target]
        elif node.target is aten.threshold_backward.default:
            node.target, node.kwargs = aten.threshold_backward.grad_input, {"grad_input": first}


def _keep_results(trace: Trace, returned_anew: int) -> None:
    """Write results into memory of their own, where the operations that make them can."""
    *_, output = trace.graph.nodes
    for number, node in enumerate(output.args[0][returned_anew:]):
        while isinstance(node, fx.Node) and _may_alias(node) and node.args:
            node = node.args[0]
        layout = _layout(node) if isinstance(node, fx.Node) else None
        into = _out_overload(node)
        if layout is None or into is None or node.kwargs:
            continue
        name = f"result{number}"
        shape, stride, dtype, device = layout
        trace.attributes[name] = torch.empty_strided(shape, stride, dtype=dtype, device=device)
        with trace.graph.inserting_before(node):
            node.kwargs = {"out": trace.graph.get_attr(name)}
        node.target = into


def _out_overload(node: Node) -> Any:
    """The form of an operation that writes into a given tensor and takes the same arguments; None if there is none."""
    operation = _operation(node)
    if operation is None:
        return None

    def taken(of: Any) -> list[tuple[str, str]]:
        return [(argument.name, str(argument.type)) for argument in of.arguments if not argument.kwarg_only]

    packet = operation.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        outs = [argument.name for argument in schema(overload).arguments if argument.is_out]
        if outs == ["out"] and taken(schema(overload)) == taken(schema(operation)):
            return overload
    return None


def _call_as_method(node: Node) -> None:
    """Tensor's own methods parse their arguments faster than torch.ops does, by 1 µs an operation."""
    operation = _operation(node)
    if operation is None or schema(operation).arguments[0].name != "self" or "out" in node.kwargs:
        return
    name = schema(operation).name.removeprefix("aten::")
    if isinstance(getattr(Tensor, name, None), types.MethodDescriptorType):
        node.op, node.target = "call_method", name


def _operation(node: Node) -> Any:
    """Its operation of aten; None for inputs, attributes, results and the parts of tuples."""
    return node.target if isinstance(node, fx.Node) and isinstance(node.target, OpOverload) else None


def _may_alias(node: Node) -> bool:
    """Whether what it stands for may share memory with an argument, as far as the operation says."""
    operation = _operation(node)
    return operation is None or any(result.alias_info is not None for result in schema(operation).returns)


def _is_changed(node: Node) -> bool:
    """Whether an operation may write into what it stands for, or into a view of that."""
    for user in node.users:
        operation = _operation(user)
        if operation is None or schema(operation).is_mutable or (_may_alias(user) and _is_changed(user)):
            return True
    return False


def _layout(node: Node) -> Layout | None:
    """None of an operation that returns several tensors."""
    layout: Layout | None = node.meta.get("layout")
    return layout

"""Replicas of one network as one program: their parameters and buffers stacked, and called by torch.func.vmap."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from paribus.extras.stack.functions import ReplicaFunctions

State = dict[str, Tensor]


class StackedNetwork(nn.Module):
    """R networks of one architecture. x (R, N, ...) -> outputs (R, N, O), or x (N, ...) for all of them.

    networks: their initial states. After `attach` their parameters and buffers are views of rows of the stack, so
        that whatever is written for one network (state dicts, optimizers, callbacks) works on a replica.

    The parameters of this module are the stacked ones, (R, ...) each, called as in the networks with "/" for ".".

    Source: torch.func's model ensembling.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self._networks = list(networks)  # a list: they are views of this module's state and no state of their own
        self._program = [copy.deepcopy(networks[0])]  # the code that runs; its own tensors are never used
        self._names = [name for name, _ in networks[0].named_parameters()]
        self._buffer_names = [name for name, _ in networks[0].named_buffers()]
        parameters = [dict(network.named_parameters()) for network in networks]
        buffers = [dict(network.named_buffers()) for network in networks]
        for name in self._names:
            stacked = torch.stack([own[name].detach() for own in parameters])
            self.register_parameter(flat(name), nn.Parameter(stacked, parameters[0][name].requires_grad))
        for name in self._buffer_names:
            self.register_buffer(flat(name), torch.stack([own[name] for own in buffers]))
        self.generators: list[torch.Generator] = []  # of dropout, one for each replica
        self.attach()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StackedNetwork:
        """Of conversions to another device or type: each buffer has the type that it has in a network by itself, where
        moving statistics stay in float32."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in self.program._apply(fn).named_buffers():
            own = getattr(self, flat(name))
            if own.dtype != buffer.dtype:
                setattr(self, flat(name), own.to(buffer.dtype))
        return self

    def __len__(self) -> int:
        return len(self._networks)

    @property
    def program(self) -> nn.Module:
        """The network whose code runs: switches such as train() and set_progress() are those of all replicas."""
        return self._program[0]

    @property
    def replicas(self) -> list[nn.Module]:
        return self._networks

    def attach(self) -> None:
        """Make the networks views of the stack; again whenever its tensors have been replaced (device, precision)."""
        stacked = self.stacked()
        rows = {name: tensor.detach().unbind(0) for name, tensor in stacked.items()}
        for k, network in enumerate(self._networks):
            for name, p in network.named_parameters():
                p.data = rows[name][k]
            for name, _ in network.named_buffers():
                module, _, last = name.rpartition(".")
                setattr(network.get_submodule(module), last, rows[name][k])

    def stacked(self) -> State:
        """Parameters and buffers by the names that they have in a network."""
        return {**self.own_parameters(), **self.own_buffers()}

    def own_parameters(self) -> State:
        return {name: getattr(self, flat(name)) for name in self._names}

    def own_buffers(self) -> State:
        return {name: getattr(self, flat(name)) for name in self._buffer_names}

    def trained(self) -> State:
        """The stacked parameters that take gradients."""
        return {name: p for name in self._names if (p := getattr(self, flat(name))).requires_grad}

    def places(self) -> list[int]:
        """Where the stacked tensors begin in memory."""
        tensors = (*self._parameters.values(), *self._buffers.values())
        return [tensor.data_ptr() for tensor in tensors if tensor is not None]

    def state_of(self, k: int) -> State:
        """A copy of the state dict of replica k."""
        return {name: value.detach().clone() for name, value in self._networks[k].state_dict().items()}

    def load(self, states: Sequence[dict[str, Tensor] | None]) -> None:
        """Set the state of each replica; None leaves one as it is."""
        for network, state in zip(self._networks, states, strict=True):
            if state is not None:
                network.load_state_dict(state)

    def forward(self, x: Tensor, shared: bool = False) -> Tensor:
        """shared: x (N, ...) goes through all replicas; else each has its own part of x (R, N, ...).

        In training, moving statistics and the like are updated in place, as in a single network.
        """
        return self.call(self.own_parameters(), self.own_buffers(), x, shared)

    def call(self, parameters: State, buffers: State, x: Tensor, shared: bool = False) -> Tensor:
        """`forward` with these parameters and buffers, (R, ...) each, in place of its own."""
        call = vmap(self._call, in_dims=(0, 0, None if shared else 0), randomness="different")
        with ReplicaFunctions(self.generators):
            result: Tensor = call(parameters, buffers, x)
            return result

    def _call(self, parameters: State, buffers: State, x: Tensor) -> Any:
        return functional_call(self.program, (parameters, buffers), (x,))


def flat(name: str) -> str:
    """A name that nn.Module accepts for a parameter of its own."""
    return name.replace(".", "/")


def unflat(name: str) -> str:
    return name.replace("/", ".")

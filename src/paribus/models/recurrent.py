r"""Recurrent networks of tokens: plain, LSTM and GRU, with norms where Ba et al. 2016 put them.

torch's own modules compute the same without norms (a test compares them), but take none, and torch.func.vmap has no
rule for their kernels. Their maps are linear layers here, which weight norm, spectral norm and Muon find.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.models.tokens import causal_norm, output_layer
from paribus.techniques.norms.batch_norm import BatchNorm
from paribus.techniques.norms.norm import NormFactory, make, needs_bias

NormAt = Literal["steps", "inputs"]


class Cells(nn.Module):
    """One layer: a sequence (N, T, I) to its states (N, T, H), from a state of zeros.

    `step` combines what a place gives, norm(W x), with what the state before gives, norm(U h), both (N, gates * H).
    """

    gates: ClassVar[int]

    def __init__(self, inputs: int, width: int, norm: NormFactory | None, norm_at: NormAt):
        super().__init__()
        self.width = width
        wide, inner = self.gates * width, norm if norm_at == "steps" else None
        self.input = nn.Linear(inputs, wide, bias=needs_bias(norm, wide, "tokens"))
        self.hidden = nn.Linear(width, wide)
        for p in self.parameters():
            nn.init.uniform_(p, -1 / math.sqrt(width), 1 / math.sqrt(width))
        self.norm_input = causal_norm(norm, wide)
        self.norm_hidden = step_norm(inner, wide)

    def forward(self, x: Tensor) -> Tensor:
        given = self.norm_input(self.input(x))
        weight, bias = self.hidden.weight, self.hidden.bias  # once: a parametrization computes them
        state = self.start(given.new_zeros(len(x), self.width))
        states = []
        for now in given.unbind(1):
            state = self.step(now, self.norm_hidden(F.linear(state[0], weight, bias)), state)
            states.append(state[0])
        return torch.stack(states, 1)

    def start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        """The state before the first place, h (N, H) first."""
        return (zeros,)

    def step(self, now: Tensor, before: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state."""
        raise NotImplementedError


class PlainCells(Cells):
    r"""$h' = \tanh(W x + U h)$. Source: Elman 1990."""

    gates = 1

    def step(self, now: Tensor, before: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.tanh(now + before),)


class LSTMCells(Cells):
    r"""$c' = \sigma(f) c + \sigma(i) \tanh(g)$, $h' = \sigma(o) \tanh(\mathrm{norm}(c'))$ with
    $(i, f, g, o) = W x + U h$. Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000 for f.
    """

    gates = 4

    def __init__(self, inputs: int, width: int, norm: NormFactory | None, norm_at: NormAt):
        super().__init__(inputs, width, norm, norm_at)
        self.norm_cell = step_norm(norm if norm_at == "steps" else None, width)

    def start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        return zeros, zeros

    def step(self, now: Tensor, before: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        i, f, g, o = (now + before).chunk(4, -1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * self.norm_cell(c).tanh(), c


class GRUCells(Cells):
    r"""$h' = (1 - z) n + z h$ with $r = \sigma(W_r x + U_r h)$, $z = \sigma(W_z x + U_z h)$ and
    $n = \tanh(W_n x + r\, U_n h)$. Source: Cho et al. 2014, arXiv:1406.1078, in torch's form.
    """

    gates = 3

    def step(self, now: Tensor, before: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (r, z, n), (r_before, z_before, n_before) = now.chunk(3, -1), before.chunk(3, -1)
        kept, fresh = (z + z_before).sigmoid(), torch.tanh(n + (r + r_before).sigmoid() * n_before)
        return (fresh + kept * (state[0] - fresh),)


def step_norm(norm: NormFactory | None, channels: int) -> nn.Module:
    """The norm of the vectors (N, C) of a single step. Raises ValueError for statistics of the batch."""
    module = make(norm, channels, "vector")
    if isinstance(module, BatchNorm):
        raise ValueError(
            "statistics of the batch differ from step to step, and no moving average stands for all steps. Use "
            "model.norm_at=inputs, where they are over all places, or norm=layer"
        )
    return module


class Recurrent(nn.Module):
    """An embedding, `depth` layers of cells, and outputs: tokens (N, T) to (N, T, O).

    norm_at: steps, on W x and U h of every step and on the cell of an LSTM (Ba et al. 2016, arXiv:1607.06450, eq. 20 to
        22); or inputs, on W x alone, with all places at once (Laurent et al. 2016, arXiv:1510.01378).
    tied: the output layer is the embedding's table.

    Initialised as torch's recurrent modules are.

    Raises ValueError for a norm that would see later places, or whose statistics change from step to step.
    """

    cells: ClassVar[type[Cells]]

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        vocabulary_size: int,
        norm: NormFactory | None = None,
        width: int = 128,
        depth: int = 1,
        norm_at: NormAt = "steps",
        tied: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        if min(width, depth) < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.layers = nn.Sequential()
        for _ in range(depth):
            self.layers.extend([nn.Dropout(dropout), self.cells(width, width, norm, norm_at)])
        self.drop = nn.Dropout(dropout)
        self.head = output_layer(self.embedding, num_outputs, tied)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.drop(self.layers(self.embedding(x))))
        return result


class RNN(Recurrent):
    """See `PlainCells`."""

    cells = PlainCells


class LSTM(Recurrent):
    """See `LSTMCells`."""

    cells = LSTMCells


class GRU(Recurrent):
    """See `GRUCells`."""

    cells = GRUCells

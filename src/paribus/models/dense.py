"""Networks of vectors: softmax regression and the multilayer perceptron."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from paribus.techniques.norms.norm import NormFactory, make, needs_bias


class Square(nn.Module):
    """x^2."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class SquaredReLU(nn.Module):
    """max(0, x)^2. Source: So et al. 2021, arXiv:2109.08668."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "squared_relu": SquaredReLU,
    "square": Square,
}
Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu", "elu", "squared_relu", "square"]


class Linear(nn.Module):
    """One linear map of a sample's numbers: convex with cross-entropy. A norm has no place in it, and is not used."""

    def __init__(self, shape: tuple[int, ...], num_outputs: int, norm: NormFactory | None = None):
        super().__init__()
        self.head = nn.Linear(math.prod(shape), num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(x.flatten(1))
        return result


class MLP(nn.Sequential):
    """`depth` hidden layers of `width` units: linear, norm, activation; then a linear output.

    Samples of any shape are taken as vectors. Initialised as torch.nn.Linear is.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        norm: NormFactory | None = None,
        width: int = 128,
        depth: int = 2,
        activation: Activation = "relu",
    ):
        if width < 1 or depth < 1:
            raise ValueError(
                f"width and depth must be at least 1, got {width} and {depth}. model=linear has no hidden layer"
            )
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = math.prod(shape)
        for _ in range(depth):
            layers.append(nn.Linear(inputs, width, bias=needs_bias(norm, width, "vector")))
            layers.append(make(norm, width, "vector"))
            layers.append(ACTIVATIONS[activation]())
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, num_outputs))

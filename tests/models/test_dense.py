"""Activations of networks against their formulas."""

import torch
from torch import nn

from paribus.models.dense import ACTIVATIONS, MLP


def test_activations_are_those_of_torch_and_two_squares():
    x = torch.linspace(-3, 3, 13)
    squares = {"square": x * x, "squared_relu": torch.where(x > 0, x * x, 0.0)}
    for name, kind in ACTIVATIONS.items():
        own = squares[name] if name in squares else getattr(nn, kind.__name__)()(x)
        torch.testing.assert_close(kind()(x), own)
    assert isinstance(MLP((4,), 2, activation="squared_relu")[3], ACTIVATIONS["squared_relu"])

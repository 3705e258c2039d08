"""A plain convolutional network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from paribus.models.dense import ACTIVATIONS, Activation
from paribus.models.shapes import image
from paribus.techniques.norms.norm import NormFactory, make, needs_bias


class GlobalAverage(nn.Module):
    """(N, C, H, W) -> (N, C), the mean over positions; torch's pooling does not run under vmap in every layout."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class CNN(nn.Sequential):
    """Stages of `convolutions` times 3 x 3 convolution, norm, activation; halved between stages; averaged; linear.

    widths: channels of each stage. Maps are halved only as long as 4 x 4 places remain.

    He initialisation for the kernels. Source: in the manner of Simonyan & Zisserman 2015, arXiv:1409.1556.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        norm: NormFactory | None = None,
        widths: Sequence[int] = (16, 32, 64),
        convolutions: int = 1,
        activation: Activation = "relu",
    ):
        if not widths or min(widths) < 1 or convolutions < 1:
            raise ValueError(f"a cnn has at least one stage and one convolution, got {list(widths)} and {convolutions}")
        channels, height, width = image("a cnn", shape)
        layers: list[nn.Module] = []
        for stage, out in enumerate(widths):
            if stage and min(height, width) >= 8:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            for _ in range(convolutions):
                convolution = nn.Conv2d(channels, out, 3, padding=1, bias=needs_bias(norm, out, "map"))
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                layers += [convolution, make(norm, out, "map"), ACTIVATIONS[activation]()]
                channels = out
        super().__init__(*layers, GlobalAverage(), nn.Linear(channels, num_outputs))

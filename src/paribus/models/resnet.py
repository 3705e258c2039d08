"""Residual networks: the CIFAR form (20, 56, ...) and the ImageNet form (18, 50). He et al. 2016, arXiv:1512.03385."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.models.shapes import image
from paribus.techniques.norms.norm import NormFactory, make, needs_bias


def _convolution(inputs: int, outputs: int, size: int, stride: int, norm: NormFactory | None) -> nn.Sequential:
    """Convolution and norm."""
    bias = needs_bias(norm, outputs, "map")
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, make(norm, outputs, "map"))


class _PadShortcut(nn.Module):
    """Option A of the paper: every second place, new channels are zero. No parameters."""

    def __init__(self, extra: int, stride: int):
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(
            x[:, :, :: self.stride, :: self.stride],
            (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2),
        )


class Block(nn.Module):
    """relu(shortcut(x) + residual(x)); two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 in a bottleneck."""

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        norm: NormFactory | None,
        bottleneck: bool,
        pad_shortcut: bool,
        residual: bool,
    ):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            self.first = _convolution(inputs, width, 1, 1, norm)
            self.second = _convolution(width, width, 3, stride, norm)
            self.third: nn.Module = _convolution(width, outputs, 1, 1, norm)
        else:
            self.first = _convolution(inputs, width, 3, stride, norm)
            self.second = _convolution(width, outputs, 3, 1, norm)
            self.third = nn.Identity()
        self.bottleneck = bottleneck
        self.residual = residual
        if stride == 1 and inputs == outputs:
            self.shortcut: nn.Module = nn.Identity()
        elif pad_shortcut:
            self.shortcut = _PadShortcut(outputs - inputs, stride)
        else:
            self.shortcut = _convolution(inputs, outputs, 1, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = self.second(F.relu(self.first(x)))
        if self.bottleneck:
            out = self.third(F.relu(out))
        return F.relu(out + self.shortcut(x)) if self.residual else F.relu(out)


class ResNet(nn.Module):
    """Stem, stages of residual blocks, average, linear.

    blocks: number of blocks of each stage; widths: their channels (times four after a bottleneck).
    bottleneck: 1 x 1, 3 x 3, 1 x 1 blocks.
    shortcut: "pad" (option A, CIFAR form) or "project" (option B).
    stem: "small" is a 3 x 3 convolution; "large" 7 x 7 with stride 2 and a 3 x 3 maximum; "auto" takes the small one
        for images below 64 pixels.
    residual: false leaves the shortcuts out, for ablations.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        norm: NormFactory | None = None,
        blocks: tuple[int, ...] = (3, 3, 3),
        widths: tuple[int, ...] = (16, 32, 64),
        bottleneck: bool = False,
        shortcut: Literal["pad", "project"] = "pad",
        stem: Literal["auto", "small", "large"] = "auto",
        residual: bool = True,
    ):
        super().__init__()
        if len(blocks) != len(widths) or not blocks:
            raise ValueError(f"blocks and widths must be of one length, got {list(blocks)} and {list(widths)}")
        if shortcut not in ("pad", "project") or stem not in ("auto", "small", "large"):
            raise ValueError(f"shortcut is pad or project, stem auto, small or large; got {shortcut!r}, {stem!r}")
        channels, height, width = image("a residual network", shape)
        large = stem == "large" or (stem == "auto" and min(height, width) >= 64)
        if large:
            self.stem = nn.Sequential(
                _convolution(channels, widths[0], 7, 2, norm), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
            )
        else:
            self.stem = nn.Sequential(_convolution(channels, widths[0], 3, 1, norm), nn.ReLU())
        size = min(height, width) // (4 if large else 1)
        stages, inputs = [], widths[0]
        for stage, (number, out) in enumerate(zip(blocks, widths, strict=True)):
            # Small images are halved only as long as 2 x 2 places remain, so that every norm has something to average.
            halve = stage > 0 and size >= 4
            size = size // 2 if halve else size
            for block in range(number):
                stride = 2 if halve and block == 0 else 1
                stages.append(Block(inputs, out, stride, norm, bottleneck, shortcut == "pad", residual))
                inputs = 4 * out if bottleneck else out
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(torch.mean(self.stages(self.stem(x)), (2, 3)))
        return result

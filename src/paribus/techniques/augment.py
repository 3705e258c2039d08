"""Random changes of training batches, on their device, from a generator that is handed in."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from paribus.base.torch_internals import standard_gamma


class Augmentation(Protocol):
    """x (N, *shape), y -> the same, possibly with soft targets. y: class indices (N,) or soft targets (N, K); labels
    (N, K); numbers (N,) or (N, T).

    num_classes: K; 0 for numbers.
    kinds_of_x: the kinds of samples that it changes, "image", "vector" and "sequence" of numbers; kinds_of_y: the kinds
    of targets that it can keep or change, "class", "labels" and "number". Others are refused before the training. One
    that does not say it may get any.
    """

    def __call__(
        self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]: ...


class Identity:
    """No augmentation. The task recognises it and saves the call."""

    def __call__(self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x, y


class CropFlip:
    """Shift each image by up to `padding` pixels (zeros come in), and mirror it with probability one half.

    padding: pixels for images of 32 x 32; scaled with the size of the image and at least one pixel.
    flip: mirror left to right; not for digits.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2; padding of 4 pixels.
    """

    kinds_of_x = ("image",)

    def __init__(self, padding: int = 4, flip: bool = True):
        if padding < 0:
            raise ValueError(f"padding must be at least 0, got {padding}")
        self.padding = padding
        self.flip = flip

    def __call__(self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n, c, h, w = x.shape
        if self.padding:
            pad = max(1, round(self.padding * min(h, w) / 32))
            offsets = torch.randint(0, 2 * pad + 1, (2, n), generator=generator, device=x.device)
            padded = F.pad(x, (pad, pad, pad, pad))
            rows = (offsets[0, :, None] + torch.arange(h, device=x.device))[:, None, :, None]
            columns = (offsets[1, :, None] + torch.arange(w, device=x.device))[:, None, None, :]
            samples = torch.arange(n, device=x.device)[:, None, None, None]
            channels = torch.arange(c, device=x.device)[None, :, None, None]
            x = padded[samples, channels, rows, columns]
        if self.flip:
            mirrored = torch.rand(n, generator=generator, device=x.device) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        return x, y


def _boxes(n: int, h: int, w: int, area: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
    """Masks (N, 1, H, W), true inside a box with `area` (N,) of the image around a random centre, cut at the border."""
    half_h, half_w = (area.sqrt() * h / 2)[:, None], (area.sqrt() * w / 2)[:, None]
    centres = torch.rand((2, n), generator=generator, device=device)
    rows = torch.arange(h, device=device) + 0.5
    columns = torch.arange(w, device=device) + 0.5
    inside_rows = (rows - centres[0, :, None] * h).abs() < half_h
    inside_columns = (columns - centres[1, :, None] * w).abs() < half_w
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]


class Cutout:
    """Set a square around a random point to zero, which is the mean of standardised images.

    size: side of the square as a share of the image's side.

    Source: DeVries & Taylor 2017, arXiv:1708.04552 (16 of 32 pixels for CIFAR-10).
    """

    kinds_of_x = ("image",)

    def __init__(self, size: float = 0.5):
        if not 0 < size <= 1:
            raise ValueError(f"size must be a share of the side in (0, 1], got {size}")
        self.size = size

    def __call__(self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n, _, h, w = x.shape
        area = torch.full((n,), self.size**2, device=x.device)
        return x.masked_fill(_boxes(n, h, w, area, generator, x.device), 0.0), y


def _beta(alpha: float, n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """n samples of Beta(alpha, alpha): the ratio of two Gamma variables."""
    shape = torch.full((2, n), alpha, device=device)
    gamma = standard_gamma(shape, generator).clamp_min(1e-30)
    return gamma[0] / (gamma[0] + gamma[1])


def soft(y: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Class indices as one-hot rows (N, K); soft targets, labels and numbers as they are."""
    if y.ndim != 1 or y.is_floating_point():
        return y
    # F.one_hot looks at the values, for which a GPU must wait, and which can't be traced.
    return torch.zeros(len(y), num_classes, dtype=dtype, device=y.device).scatter_(1, y.unsqueeze(1), 1.0)


class _Mixing:
    def __init__(self, alpha: float):
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha = alpha


class MixUp(_Mixing):
    r"""x <- \lambda x + (1 - \lambda) x', y likewise, with a random partner, \lambda ~ Beta(alpha, alpha) per sample.

    For samples of numbers of any shape. y: classes become soft targets; labels and numbers are mixed as they are.

    Source: Zhang et al. 2018, arXiv:1710.09412.
    """

    kinds_of_x = ("image", "vector", "sequence")

    def __init__(self, alpha: float = 0.2):
        super().__init__(alpha)

    def __call__(self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(x)
        partner = torch.randperm(n, generator=generator, device=x.device)
        share = _beta(self.alpha, n, generator, x.device).to(x.dtype)
        y = soft(y, num_classes, x.dtype)
        of_x, of_y = (share.view(-1, *[1] * (mixed.ndim - 1)) for mixed in (x, y))
        return x.lerp(x[partner], 1 - of_x), y.lerp(y[partner], 1 - of_y)


class CutMix(_Mixing):
    r"""Paste a box of a random partner; the targets are mixed by area. Area of the box ~ Beta(alpha, alpha).

    A part of an image shows its class or labels in part. A number need not follow the area, so none are taken.

    Source: Yun et al. 2019, arXiv:1905.04899.
    """

    kinds_of_x = ("image",)
    kinds_of_y = ("class", "labels")

    def __init__(self, alpha: float = 1.0):
        super().__init__(alpha)

    def __call__(self, x: Tensor, y: Tensor, *, num_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n, _, h, w = x.shape
        partner = torch.randperm(n, generator=generator, device=x.device)
        area = 1 - _beta(self.alpha, n, generator, x.device)
        box = _boxes(n, h, w, area, generator, x.device)
        y = soft(y, num_classes, x.dtype)
        share = (1 - box.to(x.dtype).mean((1, 2, 3))).view(-1, *[1] * (y.ndim - 1))
        return torch.where(box, x[partner], x), y[partner].lerp(y, share)

r"""Activation norms: functions (channels, layout) -> module, chosen by conf/norm.

Layouts: "vector" (N, C), "map" (N, C, H, W), "tokens" (N, T, C). All take the mean $\mu$ and the biased variance
$\sigma^2$ of x over some axes and return $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$:

    norm                  vector    map                tokens
    batch, batch_renorm   N         N, H, W            N, T
    layer                 C         C, H, W            C
    layer_channels_last   C         C                  C
    instance              -         H, W               T
    group                 C / G     C / G, H, W        C / G
    rms                   C         C, H, W  (no mean) C

gamma and beta are per channel and on for all of them by default, so that an ablation compares statistics, and not
who may scale.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.techniques.norms.batch_norm import BatchNorm, BatchRenorm, SyncBatchNorm, wide

Layout = Literal["vector", "map", "tokens"]


class NormFactory(Protocol):
    """What a model asks for a norm."""

    def __call__(self, channels: int, layout: Layout) -> nn.Module: ...


def make(norm: NormFactory | None, channels: int, layout: Layout) -> nn.Module:
    """The norm, or the identity where there is none."""
    return nn.Identity() if norm is None else norm(channels, layout)


def needs_bias(norm: NormFactory | None, channels: int, layout: Layout) -> bool:
    """Whether the layer before a norm needs a bias: not where the norm subtracts a mean per channel and adds a shift
    of its own. One rule for all models.
    """
    if norm is None:
        return True
    try:
        with torch.device("meta"):
            module = norm(channels, layout)
    except Exception:  # one of somebody else's, whose constructor reads values
        with torch.random.fork_rng(devices=[]):
            module = norm(channels, layout)
    centres_channels = isinstance(module, BatchNorm | InstanceNorm)
    return not (centres_channels and getattr(module, "bias", None) is not None)


def batch(channels: int, layout: Layout, *, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Batch normalization; see BatchNorm."""
    return BatchNorm(channels, layout, momentum, eps, affine)


def sync_batch(
    channels: int, layout: Layout, *, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True
) -> nn.Module:
    """Batch normalization over the global batch of all processes; see SyncBatchNorm."""
    return SyncBatchNorm(channels, layout, momentum, eps, affine)


def batch_renorm(
    channels: int,
    layout: Layout,
    *,
    momentum: float = 0.01,
    eps: float = 1e-5,
    affine: bool = True,
    r_max: float = 3.0,
    d_max: float = 5.0,
    start: float = 0.03,
    r_full: float = 0.25,
    d_full: float = 0.16,
) -> nn.Module:
    """Batch renormalization; see BatchRenorm."""
    return BatchRenorm(channels, layout, momentum, eps, affine, r_max, d_max, start, r_full, d_full)


def layer(channels: int, layout: Layout, *, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Layer normalization over all features of a sample. Source: Ba et al. 2016, arXiv:1607.06450."""
    if layout == "map":
        return nn.GroupNorm(1, channels, eps, affine)
    return nn.LayerNorm(channels, eps, affine)


def layer_channels_last(channels: int, layout: Layout, *, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Layer normalization over the channels at each place of a map. Source: Liu et al. 2022, arXiv:2201.03545."""
    return ChannelLayerNorm(channels, eps, affine) if layout == "map" else nn.LayerNorm(channels, eps, affine)


def instance(channels: int, layout: Layout, *, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Instance normalization: each channel of each sample. Source: Ulyanov et al. 2016, arXiv:1607.08022."""
    if layout == "vector":
        raise ValueError(
            "instance norm takes statistics over the places of a map, and vectors (N, C) have one place: every value "
            "would become 0. Use norm=layer or norm=batch with this model, or norm=instance with model=cnn"
        )
    return InstanceNorm(channels, layout, eps, affine)


def group(channels: int, layout: Layout, *, groups: int = 8, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Group normalization: `groups` groups of channels. Source: Wu & He 2018, arXiv:1803.08494."""
    if groups < 1 or channels % groups:
        divisors = [d for d in range(1, channels + 1) if channels % d == 0]
        below = max((d for d in divisors if d <= groups), default=1)
        above = min((d for d in divisors if d >= groups), default=channels)
        near = " or ".join(str(d) for d in sorted({below, above}))
        raise ValueError(
            f"group norm splits the channels into equal groups, and {groups} groups don't divide {channels} channels. "
            f"Use norm.activation.groups={near}"
        )
    return (
        TokenGroupNorm(groups, channels, eps, affine)
        if layout == "tokens"
        else nn.GroupNorm(groups, channels, eps, affine)
    )


def rms(channels: int, layout: Layout, *, eps: float = 1e-6, affine: bool = True) -> nn.Module:
    """Root-mean-square normalization, x / rms(x), without a mean or a shift. Source: Zhang & Sennrich 2019,
    arXiv:1910.07467.
    """
    return MapRMSNorm(channels, eps, affine) if layout == "map" else nn.RMSNorm(channels, eps, affine)


def own(channels: int, layout: Layout) -> nn.Module:
    """Stands for the norms that a network has already, and makes none."""
    raise ValueError("norm=own keeps the norms that a model makes itself, and this one asks for them. Use another norm")


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over C of (N, C, H, W)."""

    def __init__(self, channels: int, eps: float, affine: bool):
        super().__init__(channels, eps, affine)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class InstanceNorm(nn.Module):
    """Statistics over H, W of (N, C, H, W), or over T of (N, T, C); the same in training and evaluation."""

    def __init__(self, channels: int, layout: Layout, eps: float, affine: bool):
        super().__init__()
        self.layout = layout
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        if self.layout == "tokens":
            return self._normalise(x.transpose(1, 2)).transpose(1, 2)
        return self._normalise(x)

    def _normalise(self, x: Tensor) -> Tensor:
        if x.shape[2:].numel() == 1:
            raise ValueError(
                f"instance norm needs more than one place per channel, got {tuple(x.shape[2:])}: every value "
                "would become 0. Use norm=group or norm=batch, or a model with less pooling"
            )
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class TokenGroupNorm(nn.GroupNorm):
    """Group norm within each token of (N, T, C), like layer norm in as many pieces."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class MapRMSNorm(nn.Module):
    """x / sqrt(mean over (C, H, W) of x^2 + eps), scaled per channel."""

    def __init__(self, channels: int, eps: float, affine: bool):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        values = wide(x)
        normalised = values * torch.rsqrt(values.square().mean((1, 2, 3), keepdim=True) + self.eps)
        return (normalised if self.weight is None else normalised * self.weight[:, None, None]).to(x.dtype)

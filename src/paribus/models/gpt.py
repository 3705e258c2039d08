"""The transformer decoder. Vaswani et al. 2017, arXiv:1706.03762; in the form of Radford et al. 2019 (GPT-2)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.models.dense import ACTIVATIONS, Activation
from paribus.models.tokens import causal_norm, output_layer
from paribus.techniques.norms.norm import NormFactory, needs_bias

Placement = Literal["pre", "post", "both", "none"]


class Rotary(nn.Module):
    r"""Turns the pair $(x_i, x_{i + d/2})$ of a head at place t by the angle $t \cdot 10000^{-2 i / d}$: (N, h, T, d).

    Products of queries and keys then depend on the distance of their places. Source: Su et al. 2021, arXiv:2104.09864.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, places: int, size: int):
        super().__init__()
        rates = 10_000.0 ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(places)[:, None] * rates
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, -1)
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        return torch.cat([one * cos - other * sin, one * sin + other * cos], -1)


class Attention(nn.Module):
    """Causal self-attention of `heads` heads. bias: of the last map.

    qk_norm: queries and keys of each head are divided by their root mean square, with a scale for each feature (Henry
        et al. 2020, arXiv:2010.04245; Dehghani et al. 2023, arXiv:2302.05442).
    """

    def __init__(
        self, width: int, heads: int, places: int, rotary: bool, qk_norm: bool, dropout: float, bias: bool = True
    ):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width, bias)
        size = width // heads
        self.norm_q, self.norm_k = (nn.RMSNorm(size) if qk_norm else nn.Identity() for _ in range(2))
        self.turn = Rotary(places, size) if rotary else nn.Identity()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k = self.turn(self.norm_q(q)).to(v.dtype), self.turn(self.norm_k(k)).to(v.dtype)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        result: Tensor = self.drop(self.out(attended.transpose(1, 2).reshape(n, t, c)))
        return result


class Branch(nn.Module):
    r"""A residual branch f, and the norms around it, by `placement`:

    pre     x + s f(norm(x))         Xiong et al. 2020, arXiv:2002.04745
    post    norm(x + s f(x))         Vaswani et al. 2017
    both    x + s norm(f(norm(x)))   Kim et al. 2025, arXiv:2502.02732
    none    x + s f(x)
    """

    def __init__(self, function: nn.Module, width: int, norm: NormFactory | None, placement: Placement, scale: float):
        super().__init__()
        self.before = causal_norm(norm if placement in ("pre", "both") else None, width)
        self.function = function
        self.behind = causal_norm(norm if placement == "both" else None, width)
        self.after = causal_norm(norm if placement == "post" else None, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        change = self.behind(self.function(self.before(x)))
        result: Tensor = self.after(x + (change if self.scale == 1.0 else self.scale * change))
        return result


class GPT(nn.Module):
    r"""Embeddings, `depth` layers of causal attention and a multilayer perceptron of 4 `width` units, a norm, outputs.

    Shapes: tokens (N, T), T up to the places of the data, to outputs (N, T, O).

    positions: learned, an embedding of the place; rotary; or none, where only the causal mask tells places apart.
    placement: of the norms, see `Branch`; with post or none there is no norm before the outputs.
    residual: how the sum of the 2 `depth` branches is kept from growing. init: matrices that write into it are smaller
        by $1 / \sqrt{2\, \mathrm{depth}}$ (Radford et al. 2019). forward: that multiplies each branch in every pass. Or
        none.
    tied: the output layer is the embedding's table.
    std: standard deviation of the normal distribution that matrices and embeddings start from. Biases start at 0.

    Raises ValueError for heads that don't divide the width, and for a norm that would see later places.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        vocabulary_size: int,
        norm: NormFactory | None = None,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        positions: Literal["learned", "rotary", "none"] = "learned",
        activation: Activation = "gelu",
        placement: Placement = "pre",
        qk_norm: bool = False,
        residual: Literal["init", "forward", "none"] = "init",
        tied: bool = False,
        dropout: float = 0.0,
        std: float = 0.02,
    ):
        super().__init__()
        if min(width, depth, heads) < 1 or width % heads:
            raise ValueError(f"heads must divide the width, and all are at least 1, got {heads} heads, width {width} "
                             f"and depth {depth}. Use model.heads=1, or another width")  # fmt: skip
        if positions == "rotary" and width // heads % 2:
            raise ValueError(f"rotary positions turn pairs of features, and a head has {width // heads}. Use an even "
                             "number of features to a head, or model.positions=learned")  # fmt: skip
        [places] = shape
        bias = placement in ("pre", "none") or needs_bias(norm, width, "tokens")
        share = 1 / math.sqrt(2 * depth)
        scale = share if residual == "forward" else 1.0
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.position = nn.Embedding(places, width) if positions == "learned" else None
        self.drop = nn.Dropout(dropout)
        self.layers = nn.Sequential()
        for _ in range(depth):
            attention = Attention(width, heads, places, positions == "rotary", qk_norm, dropout, bias)
            wide, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width, bias)
            mlp = nn.Sequential(wide, ACTIVATIONS[activation](), narrow, nn.Dropout(dropout))
            self.layers.extend(Branch(each, width, norm, placement, scale) for each in (attention, mlp))
            for layer in (attention.qkv, attention.out, wide, narrow):
                smaller = residual == "init" and layer in (attention.out, narrow)
                nn.init.normal_(layer.weight, std=std * share if smaller else std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.norm = causal_norm(norm if placement in ("pre", "both") else None, width)
        self.head = output_layer(self.embedding, num_outputs, tied)
        for table in (self.embedding, self.position, self.head):
            if table is not None:
                nn.init.normal_(table.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        features = self.embedding(x)
        if self.position is not None:
            features = features + self.position.weight[: x.shape[1]]
        result: Tensor = self.head(self.norm(self.layers(self.drop(features))))
        return result

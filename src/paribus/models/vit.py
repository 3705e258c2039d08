"""The vision transformer. Dosovitskiy et al. 2021, arXiv:2010.11929; sizes of Touvron et al. 2021, arXiv:2012.12877."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.models.shapes import image
from paribus.techniques.norms.norm import NormFactory, make


class _Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, dropout: float, norm: NormFactory | None):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm1, self.norm2 = make(norm, width, "tokens"), make(norm, width, "tokens")
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        x = x + self.out(attended.transpose(1, 2).reshape(n, t, c))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class ViT(nn.Module):
    """Patches, a class token, `depth` pre-norm transformer layers, a linear output from the class token.

    patch: side of a patch in pixels; null takes an eighth of the image's side, and at least 1.

    Matrices start from a normal distribution with standard deviation 0.02, cut at two of them.

    Raises ValueError where the patches don't tile the image or the heads don't divide the width.
    """

    no_decay = ("token", "position")

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        norm: NormFactory | None = None,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        patch: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        channels, rows, columns = image("a vision transformer", shape)
        patch = patch or max(1, min(rows, columns) // 8)
        if rows % patch or columns % patch:
            fitting = [p for p in range(1, min(rows, columns) + 1) if rows % p == 0 and columns % p == 0]
            raise ValueError(
                f"patches of {patch} pixels don't tile an image of {rows} x {columns}. Use model.patch="
                f"{min(fitting, key=lambda p: abs(p - patch))}"
            )
        if width % heads:
            raise ValueError(f"heads must divide the width, got {heads} heads and width {width}")
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 1 + (rows // patch) * (columns // patch), width))
        self.layers = nn.Sequential(*[_Layer(width, heads, dropout, norm) for _ in range(depth)])
        self.norm = make(norm, width, "tokens")
        self.head = nn.Linear(width, num_outputs)
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.position
        result: Tensor = self.head(self.norm(self.layers(tokens))[:, 0])
        return result

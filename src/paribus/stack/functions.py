"""What vmap would not call as a single run does: dropout, with a generator for each replica, and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ReplicaFunctions(TorchFunctionMode):
    """Within this context and under vmap, dropout of replica k draws from generators[k].

    In the order and the form in which torch draws on a CPU, so that replica k of a stack drops what the single run
    drops. On a GPU the streams are as independent, but others. Dropout of whole channels is not covered: it draws from
    the global generator, different for each replica.

    Attention is written out, since vmap would call the fused kernel once for each replica.
    """

    def __init__(self, generators: Sequence[torch.Generator]):
        super().__init__()
        self.generators = generators

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout:
            return self.dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention and set(kwargs) <= {"dropout_p"} and len(args) == 3:
            return self.attention(*args, **kwargs)
        return func(*args, **kwargs)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return x
        kept = _Kept.apply(x.detach(), 1.0 - p, self.generators)
        return x * (kept / (1.0 - p) if p < 1.0 else kept)

    def attention(self, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> Tensor:
        """softmax(q k^T / sqrt(d)), dropped out, times v."""
        scale = 1.0 / math.sqrt(math.sqrt(q.shape[-1]))  # on both factors, as torch does it
        weights = ((q * scale) @ (k * scale).transpose(-2, -1)).softmax(-1)
        return self.dropout(weights, dropout_p) @ v


class _Kept(torch.autograd.Function):
    """Ones with probability `keep`, else zeros, in the shape of `like`; under vmap from one generator a replica."""

    @staticmethod
    def forward(like: Tensor, keep: float, generators: Sequence[torch.Generator]) -> Tensor:
        raise AssertionError("a stack calls its network under vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
        return None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, like: Tensor, keep: float, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, int]:
        rows = like.movedim(in_dims[0], 0)
        drawn = [torch.empty_like(row).bernoulli_(keep, generator=g) for row, g in zip(rows, generators, strict=True)]
        return torch.stack(drawn), 0

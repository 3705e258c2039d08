"""What vmap would not call as a single run does, or slowly: dropout, attention, linear maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.overrides import TorchFunctionMode


class ReplicaFunctions(TorchFunctionMode):
    """Within this context and under vmap, dropout of replica k draws from generators[k].

    In the order and the form in which torch draws on a CPU, so that replica k of a stack drops what the single run
    drops. On a GPU the streams are as independent, but others. Dropout of whole channels is not covered: it draws from
    the global generator, different for each replica.

    Attention is written out, since vmap would call the fused kernel once for each replica. Linear maps are batched
    products whose gradients come in the layout of the weights, where vmap's are transposed and have to be copied.
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
        if func is F.batch_norm and args[0].dtype in (torch.bfloat16, torch.float16):
            # With statistics in single precision, as the kernel has them; vmap's form of it takes one type only.
            return func(args[0].float(), *args[1:], **kwargs).to(args[0].dtype)
        if func is F.linear and not kwargs:
            return _Linear.apply(*args) if len(args) == 3 else _Linear.apply(*args, None)
        return func(*args, **kwargs)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return x
        if get_proxy_mode() is not None:
            raise RuntimeError("dropout draws from the generators of the replicas")
        kept = _Kept.apply(x.detach(), 1.0 - p, self.generators)
        return x * (kept / (1.0 - p) if p < 1.0 else kept)

    def attention(self, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> Tensor:
        """softmax(q k^T / sqrt(d)), dropped out, times v."""
        scale = 1.0 / math.sqrt(math.sqrt(q.shape[-1]))  # on both factors, as torch does it
        weights = ((q * scale) @ (k * scale).transpose(-2, -1)).softmax(-1)
        return self.dropout(weights, dropout_p) @ v


class _Linear(torch.autograd.Function):
    """F.linear; under vmap a batched product."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise AssertionError("a stack calls its network under vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, int]:
        kind = x.device.type
        # Autocast would cast within the products, after the function has kept what its gradients are made of.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype

        def rows(tensor: Tensor, dim: int | None) -> Tensor:
            tensor = tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            return tensor.to(dtype)

        x, weight = rows(x, in_dims[0]), rows(weight, in_dims[1])
        bias = None if bias is None else rows(bias, in_dims[2])
        return _BatchedLinear.apply(x.flatten(1, -2), weight, bias).unflatten(1, x.shape[1:-1]), 0


class _BatchedLinear(torch.autograd.Function):
    """x (R, N, I), weight (R, O, I), bias (R, O) or None -> (R, N, O)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x = x.contiguous()  # batch norm leaves samples 2^n bytes apart, where they evict one another from caches
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        g = grads[0].contiguous()
        of_x = torch.bmm(g, weight) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(g.transpose(1, 2), x) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, g.sum(1) if ctx.needs_input_grad[2] else None


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

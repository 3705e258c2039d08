"""Replacements for functions that are slow or different under vmap: dropout, attention, linear maps, norms."""

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

    Attention is written out, since vmap would call the fused kernel once for each replica. Linear maps are batched
    products whose gradients come in the layout of the weights, where vmap's are transposed and have to be copied. Batch
    norm of vectors keeps the order (replica, sample, channel), which vmap's turns around and back.
    """

    def __init__(self, generators: Sequence[torch.Generator]):
        super().__init__()
        self.generators = generators

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout:
            return self.dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention and set(kwargs) <= {"dropout_p", "is_causal"} and len(args) == 3:
            return self.attention(*args, **kwargs)
        if func is F.batch_norm and args[0].dtype in (torch.bfloat16, torch.float16):
            # With statistics in single precision, as the kernel has them; vmap's form of it takes one type only.
            return self.batch_norm(args[0].float(), *args[1:], **kwargs).to(args[0].dtype)
        if func is F.batch_norm:
            return self.batch_norm(*args, **kwargs)
        if func is F.linear and not kwargs:
            return _Linear.apply(*args) if len(args) == 3 else _Linear.apply(*args, None)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return x
        kept = _Kept.apply(x.detach(), 1.0 - p, self.generators)  # type: ignore[no-untyped-call]
        result: Tensor = x * (kept / (1.0 - p) if p < 1.0 else kept)
        return result

    def batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if running_mean is not None and running_var is not None and x.ndim == 2:
            if training:
                result: Tensor = _BatchNorm.apply(x, running_mean, running_var, weight, bias, momentum, eps)  # type: ignore[no-untyped-call]
                return result
            scale = torch.rsqrt(running_var + eps) if weight is None else torch.rsqrt(running_var + eps) * weight
            return torch.addcmul(-running_mean * scale if bias is None else bias - running_mean * scale, x, scale)
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)

    def attention(self, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, is_causal: bool = False) -> Tensor:
        """softmax(q k^T / sqrt(d)), dropped out, times v. is_causal: a place attends to those up to itself."""
        scale = 1.0 / math.sqrt(math.sqrt(q.shape[-1]))  # on both factors, as torch does it
        products = (q * scale) @ (k * scale).transpose(-2, -1)
        if is_causal:
            later = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).triu(1)
            products = products.masked_fill(later, -math.inf)
        return self.dropout(products.softmax(-1), dropout_p) @ v


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
        return _BatchedLinear.apply(x.flatten(1, -2), weight, bias).unflatten(1, x.shape[1:-1]), 0  # type: ignore[no-untyped-call]


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


class _BatchNorm(torch.autograd.Function):
    """F.batch_norm of (M, C) in training, with moving statistics, under vmap."""

    @staticmethod
    def forward(x: Tensor, *args: Any) -> Tensor:
        raise AssertionError("a stack calls its network under vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        def rows(tensor: Any, dim: int | None) -> Any:
            if not isinstance(tensor, Tensor):
                return tensor
            return tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)

        return _StackedBatchNorm.apply(*map(rows, args, in_dims)), 0  # type: ignore[no-untyped-call]


class _StackedBatchNorm(torch.autograd.Function):
    """x (R, M, C); moving statistics, weight and bias (R, C), the last two or None."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        count = x.shape[1]
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        var = centred.square().mean(1, keepdim=True)
        running_mean.unsqueeze(1).lerp_(mean, momentum)
        running_var.unsqueeze(1).lerp_(var * (count / (count - 1)), momentum)
        inverse = torch.rsqrt(var + eps)
        scale = inverse if weight is None else inverse * weight.unsqueeze(1)
        ctx.save_for_backward(centred, inverse, scale)
        return centred * scale if bias is None else torch.addcmul(bias.unsqueeze(1), centred, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        centred, inverse, scale = ctx.saved_tensors
        g, count = grads[0].contiguous(), centred.shape[1]
        of_bias = g.sum(1, keepdim=True)
        of_weight = (g * centred).sum(1, keepdim=True) * inverse
        of_x = None
        if ctx.needs_input_grad[0]:
            # scale * (g - mean of g - normalised x * mean of g times normalised x), in two passes
            share = scale * (-1.0 / count)
            of_x = torch.addcmul(share * of_bias, centred, share * inverse * of_weight).addcmul_(g, scale)
        of_weight, of_bias = of_weight.squeeze(1), of_bias.squeeze(1)
        wanted = ctx.needs_input_grad[3:5]
        return of_x, None, None, of_weight if wanted[0] else None, of_bias if wanted[1] else None, None, None


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

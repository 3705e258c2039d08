"""Norms with the statistics of the batch: batch norm, batch renorm, and batch norm over all processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

_TWO_BYTES = (torch.float16, torch.bfloat16)


class BatchNorm(nn.Module):
    r"""Training: $\mu, \sigma^2$ of the batch; evaluation: their moving averages.

    $\bar\mu \leftarrow (1 - m)\,\bar\mu + m\,\mu$ with momentum m (the notes' p is 1 - m); likewise the variance, whose
    average takes the unbiased estimate while normalising takes the biased one, as in torch.

    momentum: m in (0, 1].

    Raises ValueError in training for a single value per channel, which has no variance.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, layout: str, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        if not 0.0 < momentum <= 1.0:
            raise ValueError(f"the momentum of batch statistics lies in (0, 1], got {momentum}. The usual value is 0.1")
        self.tokens = layout == "tokens"
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BatchNorm:
        """Of conversions, such as `.to(torch.bfloat16)`: the moving statistics have four bytes at least, or steps of a
        few per cent would be lost in their rounding."""
        before = self.running_mean, self.running_var
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.running_mean.dtype in _TWO_BYTES:  # those of before, which are not rounded
            self.running_mean, self.running_var = (wide(each).to(self.running_mean.device) for each in before)
        return self

    def forward(self, x: Tensor) -> Tensor:
        if self.tokens:  # (N, T, C): tokens count as samples
            return self.normalise(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        return self.normalise(x)

    def normalise(self, x: Tensor) -> Tensor:
        """(M, C) or (M, C, H, W)."""
        if self.training:
            self.check(x)
        # Scale and shift in the type of the statistics, as torch's kernels want them.
        weight, bias = (None if p is None else wide(p) for p in (self.weight, self.bias))
        return F.batch_norm(
            x, self.running_mean, self.running_var, weight, bias, self.training, self.momentum, self.eps
        )

    def check(self, x: Tensor) -> None:
        if x.numel() == x.shape[1]:
            raise ValueError(
                f"batch statistics need more than one value per channel in training, got the shape {tuple(x.shape)}. "
                "Use a larger batch, data.drop_last=true if it is an epoch's last one, or norm=group or norm=layer"
            )

    def affine(self, x: Tensor) -> Tensor:
        if self.weight is None or self.bias is None:
            return x
        return x * _column(self.weight, x) + _column(self.bias, x)

    def extra_repr(self) -> str:
        return f"{len(self.running_mean)}, momentum={self.momentum}, eps={self.eps}, affine={self.weight is not None}"


class BatchRenorm(BatchNorm):
    r"""Algorithm 1 of the paper. In training, with the batch's $\mu_B, \sigma_B$ and the moving $\mu, \sigma$:

        r = stopgrad(clip(\sigma_B / \sigma, 1 / r_max, r_max))
        d = stopgrad(clip((\mu_B - \mu) / \sigma, -d_max, d_max))
        y = \gamma ((x - \mu_B) / \sigma_B \cdot r + d) + \beta

    (r_max, d_max) = (1, 0) is batch norm; without limits the output is that of evaluation.

    r_max, d_max: limits at the end of their ramps. Until the fraction `start` of the run they are (1, 0); r_max is
    reached at `r_full`, d_max at `d_full`, as in the paper's schedule (5k, 40k and 25k of about 160k updates).
    momentum: smaller than batch norm's, since the moving averages act in training.

    $\sigma$ is the root of the moving variance plus eps.

    Source: Ioffe 2017, arXiv:1702.03275.
    """

    def __init__(
        self,
        channels: int,
        layout: str,
        momentum: float = 0.01,
        eps: float = 1e-5,
        affine: bool = True,
        r_max: float = 3.0,
        d_max: float = 5.0,
        start: float = 0.03,
        r_full: float = 0.25,
        d_full: float = 0.16,
    ):
        super().__init__(channels, layout, momentum, eps, affine)
        if r_max < 1.0 or d_max < 0.0:
            raise ValueError(f"batch renorm needs r_max >= 1 and d_max >= 0, got {r_max} and {d_max}")
        if not 0.0 <= start <= min(r_full, d_full) or max(r_full, d_full) > 1.0:
            raise ValueError(
                f"batch renorm's ramps need 0 <= start <= r_full, d_full <= 1 as fractions of the run, "
                f"got {start}, {r_full}, {d_full}"
            )
        self.final = (r_max, d_max)
        self.ramp = (start, r_full, d_full)
        self.r_max, self.d_max = 1.0, 0.0
        self.set_progress(0.0)

    def set_progress(self, t: float) -> None:
        """Set the limits for the fraction t of the run."""
        start, r_full, d_full = self.ramp
        r_max, d_max = self.final

        def share(end: float) -> float:
            return float(t >= start) if end <= start else min(1.0, max(0.0, (t - start) / (end - start)))

        self.r_max = 1.0 if (s := share(r_full)) == 0.0 else 1.0 + s * (r_max - 1.0)
        self.d_max = 0.0 if (s := share(d_full)) == 0.0 else s * d_max

    @property
    def progress_state(self) -> tuple[float, float]:
        return self.r_max, self.d_max

    def normalise(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if not self.training:
            return super().normalise(x)
        self.check(x)
        dtype, x = x.dtype, wide(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        batch_var, batch_mean = torch.var_mean(x, axes, correction=0)
        with torch.no_grad():
            sigma = (var + self.eps).sqrt()
            r = ((batch_var + self.eps).sqrt() / sigma).clamp(1.0 / self.r_max, self.r_max)
            d = ((batch_mean - mean) / sigma).clamp(-self.d_max, self.d_max)
        scale = torch.rsqrt(batch_var + self.eps) * r
        normalised = (x - _column(batch_mean, x)) * _column(scale, x) + _column(d, x)
        with torch.no_grad():
            count = x.numel() // x.shape[1]
            # Not lerp_, which vmap would call once for each replica of a stack.
            mean += self.momentum * (batch_mean.detach().to(mean.dtype) - mean)
            var += self.momentum * (batch_var.detach().to(var.dtype) * (count / (count - 1)) - var)
        return self.affine(normalised).to(dtype)


class _AllReduceSum(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


class SyncBatchNorm(BatchNorm):
    """Batch norm with the statistics of the global batch, whatever share of it each process holds.

    torch.nn.SyncBatchNorm refuses CPU tensors; this one sums (count, mean x count, squares) over processes on any
    device, with gradients through the sums. In a single process it is batch norm.
    """

    def normalise(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().normalise(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        values = wide(x)
        local = values.numel() // values.shape[1]
        # Two rounds, mean first: the difference of mean squares would cancel.
        sums = _AllReduceSum.apply(torch.cat([values.sum(axes), values.new_full((1,), local)]))  # type: ignore[no-untyped-call]
        count = sums[-1]
        mean = sums[:-1] / count
        centred = values - _column(mean, values)
        var = _AllReduceSum.apply(centred.square().sum(axes)) / count  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((var * count / (count - 1)).to(self.running_var.dtype), self.momentum)
        return self.affine(centred * _column(torch.rsqrt(var + self.eps), values)).to(x.dtype)


def wide(x: Tensor) -> Tensor:
    """In float32 where it has two bytes: squares overflow in float16, and sums lose digits in bfloat16."""
    return x.float() if x.dtype in _TWO_BYTES else x


def _column(statistic: Tensor, x: Tensor) -> Tensor:
    """(C,) in the shape that goes with x, (M, C) or (M, C, H, W)."""
    return statistic.view(1, -1, *([1] * (x.ndim - 2)))

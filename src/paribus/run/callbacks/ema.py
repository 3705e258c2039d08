"""Exponential moving average of the weights, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from paribus.base.torch_internals import foreach
from paribus.techniques.optimizers.low_precision import LOW

if TYPE_CHECKING:
    from paribus.run.loop import Loop

_lerp_ = foreach("lerp_")


class EMA(pl.Callback):
    r"""Evaluates with $\bar\theta \leftarrow \beta_t \bar\theta + (1 - \beta_t)\,\theta$, kept after every update.

    decay: $\beta$, per update, in [0, 1).
    warmup: use $\beta_t = \min(\beta, (1 + t) / (10 + t))$ in update t, so that the initial weights are soon forgotten.

    Only parameters are averaged. Buffers are used as training left them: batch norm's statistics are averages
    already, and the singular vectors of spectral norm (`_u`, `_v`) are unit vectors, which a mean of them is not.
    Averages of weights of two bytes are kept in float32: in bfloat16 a step of 1 - $\beta$ = 0.01 would be lost unless
    the weight differs from its average by 40 %.

    Source: Polyak & Juditsky 1992; Tarvainen & Valpola 2017, arXiv:1703.01780.
    """

    def __init__(self, decay: float = 0.99, warmup: bool = True):
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"EMA's decay must lie in [0, 1), got {decay}. Try callbacks.ema.decay=0.99")
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self.average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network: nn.Module = pl_module.network  # type: ignore[assignment]
        own = dict(network.named_parameters())
        self.average = {name: _held(self.average.get(name, p), p) for name, p in own.items()}
        # The parameters and no views of them: a change of the memory format gives them other storage.
        self._pairs = (list(self.average.values()), list(own.values()))
        self._of_two_bytes = any(p.dtype in LOW for p in own.values())

    def on_update(self, loop: Loop) -> None:
        beta = self.decay
        if self.warmup:
            beta = min(beta, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages: list[Tensor] = self._pairs[0]
        current: list[Tensor] = [*self._pairs[1]]
        with torch.no_grad():
            if self._of_two_bytes:
                current = [p.to(average) for p, average in zip(current, averages, strict=True)]
            _lerp_(averages, current, 1.0 - beta)

    @contextmanager
    def evaluation_weights(self, loop: Loop) -> Iterator[None]:
        """The network's parameters are the average within the context, and bit for bit their own after it."""
        parameters = [p.data for p in loop.network.parameters()]
        own = [p.clone() for p in parameters]
        for p, average in zip(parameters, self.average.values(), strict=True):
            p.copy_(average)
        try:
            yield
        finally:
            for p, value in zip(parameters, own, strict=True):
                p.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates = state_dict["updates"]
        self.average = dict(state_dict["average"])


def _held(average: Tensor, p: Tensor) -> Tensor:
    """An average of its own, where the parameter lies."""
    return average.detach().to(p.device, torch.float32 if p.dtype in LOW else p.dtype, copy=True)

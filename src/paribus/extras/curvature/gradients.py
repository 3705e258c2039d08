"""Probes of gradients: their noise, the angle between successive ones, and their norm at a plateau."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from paribus.datasets.seeds import mix
from paribus.extras.curvature.objective import Risk
from paribus.extras.curvature.probe import Probe, gather, training_risk

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class NoiseScale(Probe):
    r"""The gradient noise scale $B = \mathrm{tr}(\Sigma) / |G|^2$, in samples, from gradients of two batch sizes.

    `parts` batches of b = `small` samples each and their mean, a batch of B = parts * b, give unbiased estimates

        |G|^2 = (B |G_B|^2 - b |G_b|^2) / (B - b),   tr(Sigma) = (|G_b|^2 - |G_B|^2) / (1 / b - 1 / B)

    whose exponential averages over measurements (`decay`) are divided. Logged as noise_scale, and the trace as
    gradient_variance. Below this batch size twice the batch nearly halves the number of updates, far above it
    hardly helps. With batch statistics a sample's gradient depends on its batch, and the estimate on `small`.

    every: updates between measurements. share: of the training time, at most; null for no limit.

    Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
    """

    name = "noise_scale"

    def __init__(self, every: int = 50, share: float | None = 0.1, small: int = 8, parts: int = 16, decay: float = 0.9):
        super().__init__(every, share)
        if small < 2 or parts < 2 or not 0.0 <= decay < 1.0:
            raise ValueError(
                f"callbacks.noise_scale needs small >= 2, parts >= 2 and decay in [0, 1), got {small}, {parts}, {decay}"
            )
        self.small = small
        self.parts = parts
        self.decay = decay
        self.averages: list[float] = []
        self._risk: Risk | None = None
        self._batch: list[tuple[Tensor, Tensor]] = []

    def measure(self, loop: Loop) -> dict[str, float]:
        if self._risk is None:
            dtype = next(loop.network.parameters()).dtype
            wide = torch.float64 if dtype == torch.float64 else torch.float32
            self._risk = Risk(
                loop.network,
                loop.trainees[0].task.loss,
                lambda: self._batch,
                self.small,
                dtype=wide,
                statistics="batch",
            )
        theta = self._risk.point(loop.network)
        total = self.small * self.parts
        generator = torch.Generator().manual_seed(mix(loop.trainees[0].order_seed, 2, loop.data.cursor.step))
        chosen = torch.randint(len(loop.data.splits.train), (total,), generator=generator)
        x, y = gather(loop, chosen)
        mean = torch.zeros_like(theta)
        squares = 0.0
        for part in zip(x.split(self.small), y.split(self.small), strict=True):
            self._batch = [part]
            _, gradient = self._risk.gradient(theta)
            squares += float(gradient.square().sum()) / self.parts
            mean += gradient / self.parts
        large = float(mean.square().sum())
        signal = (total * large - self.small * squares) / (total - self.small)
        trace = (squares - large) / (1 / self.small - 1 / total)
        if not self.averages:
            self.averages = [signal, trace]
        self.averages = [
            self.decay * old + (1 - self.decay) * new for old, new in zip(self.averages, (signal, trace), strict=True)
        ]
        signal, trace = self.averages
        return {"gradient_variance": trace} | ({"noise_scale": trace / signal} if signal > 0 else {})

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self.averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.averages = state_dict["averages"]


class GradientCosine(Probe):
    r"""$\cos(g_t, g_{t+1})$ of successive gradients, after clipping, as gradient_cosine.

    Near -1 training swings from wall to wall of a valley: the learning rate is too large there. Noise of small
    batches pulls it towards 0.

    every: updates between measurements; 1 for every pair. share: of the training time, at most; null for no limit.
    """

    name = "gradient_cosine"

    def __init__(self, every: int = 50, share: float | None = 0.1):
        super().__init__(every, share)
        self._before: Tensor | None = None
        self._value: float | None = None

    def on_gradients(self, loop: Loop) -> None:
        if not loop.trainer.is_global_zero:
            return
        step = loop.data.cursor.step
        if self._before is not None:
            now = _gradient(loop)
            below = float(self._before.norm() * now.norm())
            self._value = float(self._before @ now) / below if below > 0 else None
            self._before = now if self.every == 1 else None
        elif step % self.every == 0:
            self._before = _gradient(loop)

    def on_update(self, loop: Loop) -> None:
        if self._value is not None:
            self.take(loop)
            self._value = None

    def measure(self, loop: Loop) -> dict[str, float]:
        return {} if self._value is None else {"gradient_cosine": self._value}


class Plateau(Probe):
    r"""Where training stops improving, and whether the gradient is small there.

    Every `every` updates: plateau/loss and plateau/grad_norm, of the training loss over `samples` training samples
    (all of them together, so that the norm is the gradient's and not its noise's). When `patience` measurements in a
    row have not gone below (1 - threshold) of the lowest loss, the measurement of that lowest loss was the onset, and
    plateau/onset_step, plateau/onset_loss, plateau/onset_grad_norm and plateau/onset_ratio (the gradient norm before
    training over the one at the onset) are logged. A ratio below 10 speaks against a critical point.

    share: of the training time, at most; null for no limit. samples: null for the whole training set.

    Source: Frye et al. 2021, arXiv:2003.10397, on plateaus that are no critical points.
    """

    name = "plateau"

    def __init__(
        self,
        every: int = 20,
        share: float | None = 0.1,
        samples: int | None = 1000,
        patience: int = 5,
        threshold: float = 0.01,
    ):
        super().__init__(every, share)
        if patience < 1 or not 0.0 <= threshold < 1.0:
            raise ValueError(
                f"callbacks.plateau needs patience >= 1 and threshold in [0, 1), got {patience} and {threshold}"
            )
        self.samples = samples
        self.patience = patience
        self.threshold = threshold
        self.initial: float | None = None
        self.best: list[float] = []  # step, loss, gradient norm
        self.waited = 0
        self._risk: Risk | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop: Any = pl_module
        if loop.data.cursor.step == 0:
            self.take(loop)

    def measure(self, loop: Loop) -> dict[str, float]:
        if self._risk is None:
            self._risk = training_risk(loop, self.samples)
        loss, gradient = self._risk.gradient(self._risk.point(loop.network))
        norm = float(gradient.norm())
        if self.initial is None:
            self.initial = norm
        values = {"plateau/loss": loss, "plateau/grad_norm": norm}
        if not self.best or loss < (1 - self.threshold) * self.best[1]:
            self.best, self.waited = [loop.data.cursor.step, loss, norm], 0
            return values
        self.waited += 1
        if self.waited == self.patience:
            step, onset_loss, onset_norm = self.best
            values |= {
                "plateau/onset_step": step,
                "plateau/onset_loss": onset_loss,
                "plateau/onset_grad_norm": onset_norm,
                "plateau/onset_ratio": self.initial / max(onset_norm, 1e-300),
            }
        return values

    def state_dict(self) -> dict[str, Any]:
        return {"initial": self.initial, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.initial, self.best, self.waited = (state_dict[key] for key in ("initial", "best", "waited"))


def _gradient(loop: Loop) -> Tensor:
    """All gradients as one vector (n,)."""
    return torch.cat([p.grad.detach().flatten() for p in loop.network.parameters() if p.grad is not None])

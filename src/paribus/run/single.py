"""The engine of a run by itself: one network and one optimizer, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.base.lightning_internals import update_counter
from paribus.base.torch_internals import backward, foreach
from paribus.datasets.seeds import mix
from paribus.run.data import RunData
from paribus.run.engine import Weights, seed_streams
from paribus.run.evaluation import evaluate
from paribus.run.sharding import full_state, swapped, whole
from paribus.run.trainee import Trainee
from paribus.techniques.norms.statistics import recomputed_statistics
from paribus.techniques.optimizers.build import evaluation_weights
from paribus.techniques.optimizers.clip import clip_gradients
from paribus.techniques.optimizers.fused import FusedStep

_norms_of = foreach("norm")
STATISTICS_BATCHES = 10  # of evaluation size, for the batch statistics of averaged weights


class SingleEngine:
    """See `paribus.run.engine.Engine`.

    frozen: name of a parameter -> the epoch with which its training begins. Until then its gradient is dropped: others
        pass through it, and optimizers leave it alone.
    statistics: of batch norm in evaluations: moving, recomputed over the training set, or batch, the batch's own.
    """

    replicas: tuple[int, ...] = ()

    def __init__(
        self,
        trainee: Trainee,
        *,
        frozen: Mapping[str, int] | None = None,
        evaluation_batch_size: int = 1000,
        statistics: str = "moving",
        compile: bool = False,
    ):
        self.trainee = trainee
        self.trainees = [trainee]
        self.module = trainee.network
        self.task = trainee.task
        self.frozen = dict(frozen or {})
        self.evaluation_batch_size = evaluation_batch_size
        self.statistics = statistics
        self.compile = compile
        self.optimizer: Optimizer
        self.data: RunData
        self._forward: Callable[[Tensor], Tensor]  # the network, compiled if so wished

    def configure_optimizers(self) -> Optimizer:
        # Not before: sharding and conversion to another precision replace the parameters.
        self.optimizer = self.trainee.make_optimizer(self.module)
        self.trainee.param_groups = lambda: self.optimizer.param_groups
        return self.optimizer

    def begin(
        self, loop: pl.LightningModule, data: RunData, providers: Sequence[Weights], watched: bool = False
    ) -> None:
        self.loop, self.data, self.device = loop, data, loop.device
        self.rank, self.world = loop.global_rank, loop.trainer.world_size
        self._providers = providers
        if data.memory_format == torch.channels_last:
            network: Any = self.module
            network.to(memory_format=torch.channels_last)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._parameters = list(self.module.parameters())
        named = dict(self.module.named_parameters())
        self._frozen = [(named[name], epoch) for name, epoch in self.frozen.items()]
        self._generator = torch.Generator(self.device)
        modules: list[Any] = list(self.module.modules())
        self._progress_hooks = [module.set_progress for module in modules if hasattr(module, "set_progress")]
        self._scaler = getattr(loop.trainer.precision_plugin, "scaler", None)
        self._count = update_counter(loop.trainer)
        # With one process, no loss scaling and no callback that wants every update, Lightning's wrappers of backward()
        # and step() add 0.05 ms to an update and do nothing else.
        self._hooks: Any = loop.hooks
        self._bare = self.world == 1 and self._scaler is None and self._count is not None and data.in_chunks
        self._step = FusedStep(self.optimizer)
        # The bound method, because an attribute that is a module would be a second copy of the network's state.
        called: Any = torch.compile(self.module) if self.compile else self.module
        self._forward = called.__call__

    def mark_segments(self, step: int) -> None:
        self.trainee.segments.begin(step, self.device)

    # ------------------------------------------------------------------------------------------ one update

    def seed(self, epoch: int) -> None:
        seed_streams(mix(self.trainee.dropout_seed, 1, epoch, self.rank), self.device)

    def set_position(self, step: float, horizon: float) -> None:
        self.trainee.schedule.apply(self.optimizer.param_groups, step, horizon)
        for set_progress in self._progress_hooks:
            set_progress(step / horizon)

    def augment(self, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        self._generator.manual_seed(mix(self.trainee.augmentation_seed, step, self.rank))
        return self.task.augment(x, y, self._generator)

    def backward(self, x: Tensor, y: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        outputs = self._forward(x)
        loss = self.task.loss(outputs, y)
        self._backward(loss if weight == 1.0 else loss * weight)
        return loss, outputs

    def _backward(self, loss: Tensor) -> None:
        if self._bare and not self.compile:
            backward(loss)
        elif self._bare:
            loss.backward()
        else:
            self.loop.manual_backward(loss)

    def clip(self) -> None:
        for p, epoch in self._frozen:
            if self.data.cursor.epoch < epoch:
                p.grad = None
        if self._scaler is not None:  # whoever looks at gradients means those of the loss
            self._scaler.unscale_(self.optimizer)
        run = self.trainee
        if run.clip_norm is not None or run.clip_value is not None:
            clip_gradients(self.module.parameters(), norm=run.clip_norm, value=run.clip_value)

    def gradient_norms(self) -> Tensor:
        return total_norm(self.module)[None]

    def show_gradients(self) -> None:
        """They are there."""

    def step(self) -> dict[int, str]:
        failed: dict[int, str] = {}
        try:
            if self._bare:
                self._step()
                self._count.ready += 1
                self._count.completed += 1
            else:
                wrapped: Any = self.loop.optimizers()
                wrapped.step()
        except RuntimeError:  # decompositions of a matrix, say, do not accept what is not finite any more
            if all(p.grad is None or bool(p.grad.isfinite().all()) for p in self._parameters):
                raise
            failed[0] = ""
        self._hooks.call("on_before_zero_grad", self.optimizer)
        for p in self._parameters:  # optimizer.zero_grad() takes a twentieth of a small update
            p.grad = None
        return failed

    # ------------------------------------------------------------------------------------------ evaluation

    def evaluate(self, split: str) -> list[dict[str, float]]:
        with self.loop.trainer.precision_plugin.val_step_context():
            batches = self.data.evaluation_batches(split, self.evaluation_batch_size)
            found = evaluate(
                self.module,
                self.task,
                batches,
                device=self.device,
                reduce=self._sum,
                batch_statistics=self.statistics == "batch",
                measures=self.trainee.measures,
            )
            return [found]

    def test(self, k: int) -> dict[str, float]:
        return self.evaluate("test")[k]

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(evaluation_weights(self.optimizer))
            for provider in self._providers:
                stack.enter_context(provider(self.loop))
            averaged = any("train_mode" in group for group in self.optimizer.param_groups)
            if averaged or self.statistics == "recomputed":
                # Batch norm's moving statistics belong to the weights that training has just gone through.
                size = self.evaluation_batch_size
                share = len(self.data.splits.train) // self.world
                number = max(1, share // size)  # the same for every process
                if self.statistics != "recomputed":
                    number = min(STATISTICS_BATCHES, number)
                batches = islice(self.data.evaluation_batches("train", size), number)
                stack.enter_context(recomputed_statistics(self.module, (x for x, _ in batches), self._average))
            yield

    def final_weights(self, best: bool) -> AbstractContextManager[None]:
        weights = self.trainee.best_weights if best else None
        return self.evaluation_weights() if weights is None else swapped(self.module, weights)

    def state_of(self, k: int) -> dict[str, Tensor]:
        return full_state(self.module)

    def _sum(self, state: Tensor) -> Tensor:
        """Over processes, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(state)
        return state

    def _average(self, statistics: Tensor) -> None:
        """The mean over processes, in place: each has gone through as many batches of its own share."""
        if self.world > 1:
            torch.distributed.all_reduce(statistics)
            statistics /= self.world

    # ------------------------------------------------------------------------------------------ checkpoints

    def random_states(self, k: int) -> list[dict[str, Tensor]]:
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.world == 1:
            return [own]
        everyone: list[dict[str, Tensor]] = [{} for _ in range(self.world)]
        torch.distributed.all_gather_object(everyone, own)
        return everyone

    def restore_streams(self, states: Sequence[list[dict[str, Tensor]]]) -> None:
        own, cursor = states[0][self.rank], self.data.cursor
        if self.device.type == "cuda" and "cuda" not in own:  # saved on a CPU: a stream of its own from here on
            seed_streams(mix(self.trainee.dropout_seed, 1, cursor.epoch, self.rank, cursor.update), self.device)
        torch.set_rng_state(own["cpu"].cpu())
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(own["cuda"].cpu(), self.device)

    def save(self, checkpoint: dict[str, Any], states: Sequence[dict[str, Any]]) -> None:
        [checkpoint["paribus"]] = states
        with self.evaluation_weights():
            evaluated = full_state(self.module)
        trained = full_state(self.module)
        if any(not torch.equal(value, trained[key]) for key, value in evaluated.items()):
            checkpoint["evaluation_weights"] = evaluated

    def load(self, checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
        return [checkpoint["paribus"]]


def total_norm(network: nn.Module) -> Tensor:
    """The 2-norm of all gradients together, a scalar."""
    norms = _norms_of([p.grad for p in network.parameters() if p.grad is not None])
    return whole(torch.linalg.vector_norm(torch.stack(norms)))

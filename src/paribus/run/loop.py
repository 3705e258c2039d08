"""The LightningModule of a run: many updates to a training step, with the epochs and evaluations between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.base.lightning_internals import update_counter
from paribus.base.torch_internals import backward, foreach
from paribus.datasets.seeds import mix
from paribus.run.agreement import Agreement
from paribus.run.data import Chunk, RunData
from paribus.run.evaluation import evaluate
from paribus.run.journal import Journal
from paribus.run.metrics import Totals
from paribus.run.segments import Segments
from paribus.run.sharding import full_state, is_sharded, shard, swapped, whole
from paribus.store.history import HistoryWriter
from paribus.techniques.augment import Augmentation, Identity
from paribus.techniques.losses import Loss
from paribus.techniques.norms.statistics import recomputed_statistics
from paribus.techniques.optimizers.build import evaluation_weights
from paribus.techniques.optimizers.clip import clip_gradients
from paribus.techniques.optimizers.fused import FusedStep
from paribus.techniques.optimizers.rates import set_rates
from paribus.techniques.schedules import Schedule

_norms_of = foreach("norm")
CHUNK_SECONDS = 0.25  # length of a training step: short enough for progress, checkpoints and Ctrl-C
DIVERGENCE_CHECK_SECONDS = 10.0
STATISTICS_BATCHES = 10  # of evaluation size, for the batch statistics of averaged weights


class Loop(pl.LightningModule):
    """Minimises loss(network(x), y) with manual optimisation.

    A training step works through a `Chunk` of batches, so that Lightning's loop is paid for once in many updates.
    Everything that belongs to an update (learning rate, clipping, accumulation, hooks) happens per update, and
    trainer.global_step counts updates as usual. Callbacks that want to act on every update implement

        on_gradients(loop)   after the backward pass and clipping, before the optimizer's step
        on_update(loop)      after it
        on_validated(loop, metrics)   after each validation, with the row of the history; may call end_training()
        evaluation_weights(loop)   a context manager: the weights to evaluate with (an average, say)

    Validation runs in large batches at the end of an epoch; metrics go to the run's history, to the loggers and to
    trainer.callback_metrics, where Lightning's own callbacks find them. (self.log costs 0.3 ms a value, which is
    more than several updates of a small network.)
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        make_optimizer: Callable[[nn.Module], Optimizer],
        schedule: Schedule,
        augmentation: Augmentation,
        *,
        augmentation_seed: int,
        dropout_seed: int,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        compile: bool = False,
        evaluate_every: int = 1,
        evaluation_batch_size: int = 1000,
        test_weights: str = "last",
        statistics: str = "moving",
        monitor: str = "val/acc",
        history: HistoryWriter | None = None,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.loss = loss
        self.make_optimizer = make_optimizer
        self.optimizer: Optimizer
        self.schedule = schedule
        self.augmentation = augmentation
        self.augmentation_seed = augmentation_seed
        self.dropout_seed = dropout_seed
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.accumulate = accumulate
        self.compile_network = compile
        self.evaluate_every = evaluate_every
        self.evaluation_batch_size = evaluation_batch_size
        self.test_weights = test_weights
        self.statistics = statistics
        self.journal = Journal(history, monitor)
        self.best_weights: dict[str, Tensor] | None = None
        self.diverged = False
        self.stop_requested = False  # in this process; several agree on it
        self.agreement = Agreement(1, torch.device("cpu"))
        self.agrees_now = True  # whether all processes are at a point where they may decide something together
        self.observed_seconds = 0.0  # that callbacks took for measurements; no part of the training time
        self._forward: Callable[[Tensor], Tensor]  # the network, compiled if so wished
        self._totals = Totals()
        self._grad_norm = torch.tensor(math.nan)
        self._lost = False  # this process met numbers that are not finite
        self.segments = Segments()
        self._restored: dict[str, Any] | None = None
        self._restored_generators: list[dict[str, Tensor]] | None = None

    # ------------------------------------------------------------------------------------------ Lightning's hooks

    def configure_model(self) -> None:
        strategy = self.trainer.strategy
        if isinstance(strategy, ModelParallelStrategy) and not is_sharded(self.network):
            shard(self.network, strategy.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Optimizer:
        # Not before: sharding and conversion to another precision replace the parameters.
        self.optimizer = self.make_optimizer(self.network)
        return self.optimizer

    def on_fit_start(self) -> None:
        self.data: RunData = self.trainer.datamodule  # type: ignore[attr-defined]
        size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        if size != self.trainer.world_size:  # each process would see the wrong share of the data
            raise RuntimeError(f"the run has {self.trainer.world_size} processes, its process group has {size}")
        self.data.place(self.device, self._input_dtype(), self.global_rank)
        if self.data.memory_format == torch.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._parameters_of_network = list(self.network.parameters())
        self._generator = torch.Generator(self.device)
        self._totals = Totals(self.device)
        modules: list[Any] = list(self.network.modules())
        self._progress_hooks = [module.set_progress for module in modules if hasattr(module, "set_progress")]
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        self._gradient_hooks = [c.on_gradients for c in callbacks if hasattr(c, "on_gradients")]
        self._update_hooks = [c.on_update for c in callbacks if hasattr(c, "on_update")]
        self._validation_hooks = [c.on_validated for c in callbacks if hasattr(c, "on_validated")]
        self._weight_providers = [c.evaluation_weights for c in callbacks if hasattr(c, "evaluation_weights")]
        self.agreement = Agreement(self.trainer.world_size, self.device)
        self._count = update_counter(self.trainer)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        # With one process and no loss scaling, Lightning's wrappers of backward() and step() add 0.05 ms to an
        # update and do nothing else.
        self._bare = self.trainer.world_size == 1 and scaler is None and self._count is not None
        self._scaler = scaler
        self._step = FusedStep(self.optimizer)
        self._last_check = time.monotonic()
        # The bound method, because an attribute that is a module would be a second copy of the network's state.
        network: Any = torch.compile(self.network) if self.compile_network else self.network
        self._forward = network.__call__
        if self._restored is not None:
            self._restore(self._restored)
        self.segments.begin(self.data.cursor.step, self.device)

    def training_step(self, chunk: Chunk | tuple[Tensor, Tensor], batch_idx: int) -> None:
        started = time.perf_counter()
        self._set_generators()
        cursor = self.data.cursor
        # What callbacks take to measure is no part of the training time.
        seconds_before = cursor.seconds + self.observed_seconds
        updates = 0
        for x, y, size in self.data.batches(chunk):
            self._update(x, y, size)
            updates += 1
            cursor.seconds = seconds_before + time.perf_counter() - started - self.observed_seconds
            if self.stop_requested or self.diverged or self.data.spent():
                break
        if self._bare:
            each = (time.perf_counter() - started) / max(updates, 1)
            # A chunk that ended with the epoch was short for another reason than the clock.
            longest = 2 * self.data.updates_per_chunk + 1
            self.data.updates_per_chunk = max(1, min(longest, int(CHUNK_SECONDS / max(each, 1e-6))))
        if self.trainer.world_size > 1:
            self._agree()
        elif time.monotonic() - self._last_check > DIVERGENCE_CHECK_SECONDS:
            self._last_check = time.monotonic()
            self._check_divergence()
        if self.data.spent():
            self.data.exhausted = True

    def _agree(self) -> None:
        """After an update of several processes: they end together."""
        cursor = self.data.cursor
        if self.data.updates is None:  # the schedule and the end follow the clock: that of the slowest
            [cursor.seconds] = self.agreement.largest(cursor.seconds)
        self.agrees_now = self.agreement.due(cursor.step)
        if self.agrees_now:
            lost = self._lost or not math.isfinite(float(self._totals.state()[0]))
            if self.agreement.decide(cursor.step, lost):
                self._stop_if_diverged(math.nan)

    def _set_generators(self) -> None:
        """Dropout and the like: the stream of an epoch depends on the seed and on nothing that came before.

        Not in on_train_epoch_start, which Lightning leaves out after some restarts, and which comes before a DataLoader
        draws from the stream.
        """
        if self.data.cursor.update == 0:
            seed = mix(self.dropout_seed, 1, self.data.cursor.epoch, self.global_rank)
            # torch.manual_seed() also visits every backend that the machine might have, which takes 0.5 ms.
            torch.default_generator.manual_seed(seed)
            if self.device.type == "cuda":
                torch.cuda.manual_seed(seed)
        elif self._restored_generators is not None:
            own = self._restored_generators[self.global_rank]
            torch.set_rng_state(own["cpu"].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(own["cuda"].cpu(), self.device)
        self._restored_generators = None

    def on_train_epoch_end(self) -> None:
        data, cursor = self.data, self.data.cursor
        if data.exhausted and cursor.update == 0:
            # The run was finished when it was killed: only its test is missing.
            self.trainer.should_stop = True
            self.trainer.callback_metrics.update({k: torch.tensor(v) for k, v in self.metrics.items()})
            return
        data.end_epoch()
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():  # statistics of each process's own share until here
                torch.distributed.broadcast(buffer, 0)
        self.agrees_now = True
        state = self._totals.state()
        totals = self._totals.compute(self._reduce(state * math.nan if self._lost else state))
        row: dict[str, float] = {f"train/{key}": value for key, value in totals.items()}
        self._totals.reset()
        row["lr"] = float(self.optimizer.param_groups[0]["lr"])
        row["grad_norm"] = float(self._grad_norm)
        self._stop_if_diverged(row["train/loss"])
        last = data.exhausted or self.trainer.should_stop  # by the budget, or by somebody's callback
        if not self.diverged and (cursor.epoch % self.evaluate_every == 0 or last):
            row.update({f"val/{k}": v for k, v in self.evaluate("val").items()})
            self._keep_best(row)
            self.schedule.observe(row["val/loss"])
            for hook in self._validation_hooks:
                hook(self, row)
        self._log(row)
        if data.exhausted:
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Test metrics, from the weights that evaluation.checkpoint names. Here the device is still ours."""
        if self.diverged:
            return
        if self.test_weights == "best" and self.best_weights is not None:
            with swapped(self.network, self.best_weights):
                results = self._evaluate_network("test")
        else:
            results = self.evaluate("test")
        self._log({f"test/{k}": v for k, v in results.items()}, row=False)

    # ------------------------------------------------------------------------------------------ one update

    def _update(self, x: Tensor, y: Tensor, size: int) -> None:
        """One update from this process's share (x, y) of a global batch of `size` samples."""
        cursor = self.data.cursor
        step, horizon = self.data.position()
        set_rates(self.optimizer.param_groups, *self.schedule.at(step, horizon))
        for set_progress in self._progress_hooks:
            set_progress(step / horizon)
        if not isinstance(self.augmentation, Identity):
            self._generator.manual_seed(mix(self.augmentation_seed, cursor.step, self.global_rank))
            x, y = self.augmentation(x, y, num_classes=self.loss.num_classes, generator=self._generator)
        world = self.trainer.world_size
        if self.accumulate == 1:
            outputs = self._forward(x)
            loss = self.loss(outputs, y)
            # Processes average their gradients; shares of a ragged last batch count by their size.
            own = x.shape[0]  # len(x) asks more, which shows in a small network
            self._backward(loss if own * world == size else loss * (own * world / size))
            self._totals.update(loss, outputs, y, self.loss)
        else:
            for part_x, part_y in zip(x.tensor_split(self.accumulate), y.tensor_split(self.accumulate), strict=True):
                outputs = self._forward(part_x)
                loss = self.loss(outputs, part_y)
                self._backward(loss * (len(part_x) * world / size))
                self._totals.update(loss, outputs, part_y, self.loss)
        if self.clip_norm is not None or self.clip_value is not None:
            if self._scaler is not None:
                self._scaler.unscale_(self.optimizer)
            clip_gradients(self.network.parameters(), norm=self.clip_norm, value=self.clip_value)
        for hook in self._gradient_hooks:
            hook(self)
        if self.data.last_of_epoch():
            self._grad_norm = total_norm(self.network)
        try:
            self._take_step()
        except RuntimeError:  # decompositions of a matrix, say, do not accept what is not finite any more
            if all(p.grad is None or bool(p.grad.isfinite().all()) for p in self._parameters_of_network):
                raise
            if self.trainer.world_size == 1:
                self._stop_if_diverged(math.nan)
            self._lost = True  # the others may hold shards that are finite: they hear of it when all agree
        for p in self._parameters_of_network:  # optimizer.zero_grad() takes a twentieth of a small update
            p.grad = None
        cursor.step += 1
        cursor.update += 1
        cursor.samples += size
        for hook in self._update_hooks:
            hook(self)

    def _take_step(self) -> None:
        if self._bare:
            self._step()
            self._count.ready += 1
            self._count.completed += 1
        else:
            self.optimizers().step()  # type: ignore[union-attr]

    def _backward(self, loss: Tensor) -> None:
        if self._bare and not self.compile_network:
            backward(loss)
        elif self._bare:
            loss.backward()
        else:
            self.manual_backward(loss)

    # ------------------------------------------------------------------------------------------ evaluation

    def evaluate(self, split: str) -> dict[str, float]:
        """loss, acc and ece on "val" or "test", with the weights that this run evaluates with."""
        with self.evaluation_weights():
            return self._evaluate_network(split)

    def _evaluate_network(self, split: str) -> dict[str, float]:
        with self.trainer.precision_plugin.val_step_context():
            return evaluate(
                self.network,
                self.loss,
                self.data.evaluation_batches(split, self.evaluation_batch_size),
                device=self.device,
                reduce=self._reduce,
                batch_statistics=self.statistics == "batch",
            )

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """The weights to evaluate with: the optimizer's or a callback's average, and statistics that belong to them."""
        with ExitStack() as stack:
            stack.enter_context(evaluation_weights(self.optimizer))
            for provider in self._weight_providers:
                stack.enter_context(provider(self))
            averaged = any("train_mode" in group for group in self.optimizer.param_groups)
            if averaged or self.statistics == "recomputed":
                # Batch norm's moving statistics belong to the weights that training has just gone through.
                size = self.evaluation_batch_size
                share = len(self.data.splits.train) // self.trainer.world_size
                number = max(1, share // size)  # the same for every process
                if self.statistics != "recomputed":
                    number = min(STATISTICS_BATCHES, number)
                batches = islice(self.data.evaluation_batches("train", size), number)
                stack.enter_context(recomputed_statistics(self.network, (x for x, _ in batches), self._average))
            yield

    def _reduce(self, state: Tensor) -> Tensor:
        """Sum over processes."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(state)
        return state

    def _average(self, statistics: Tensor) -> None:
        """The mean over processes, in place: each has gone through as many batches of its own share."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(statistics)
            statistics /= self.trainer.world_size

    def _keep_best(self, row: dict[str, float]) -> None:
        if self.journal.is_best(row):
            with self.evaluation_weights():
                self.best_weights = full_state(self.network)

    # ------------------------------------------------------------------------------------------ logging

    def _log(self, values: dict[str, float], row: bool = True) -> None:
        self.trainer.callback_metrics.update({k: torch.tensor(v) for k, v in values.items()})
        loggers = self.trainer.loggers if self.trainer.is_global_zero else None
        self.journal.write(values, self.data.cursor, loggers, row)

    def observe(self, values: dict[str, float]) -> None:
        """Log what a callback has measured, as a row of its own between those of epochs."""
        self._log(values)

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of everything logged, and the best."""
        return self.journal.metrics

    def _check_divergence(self) -> None:
        """In the middle of a long epoch."""
        self._stop_if_diverged(float(self._totals.state()[0]))

    def _stop_if_diverged(self, loss: float) -> None:
        if not math.isfinite(loss):
            self.diverged = True
            self.trainer.should_stop = True
            self.data.exhausted = True

    def end_training(self) -> None:
        """Called within on_validated: the run is complete, as if its budget ended here."""
        self.data.exhausted = True

    def request_stop(self) -> None:
        """Stop after the update under way; the next checkpoint hook saves and ends the run."""
        self.stop_requested = True

    def _input_dtype(self) -> torch.dtype:
        probe = self.trainer.precision_plugin.convert_input(torch.zeros(1))
        return probe.dtype if isinstance(probe, Tensor) else torch.float32

    # ------------------------------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds plain values and tensors only, so that a checkpoint loads with weights_only=True."""
        checkpoint["paribus"] = {
            "cursor": self.data.cursor.state(),
            "totals": self._totals.state(),
            "best_weights": self.best_weights,
            **self.journal.state(),
            "schedule": self.schedule.state_dict(),
            "random": self._random_states(),
            "diverged": self.diverged,
            "finished": self.data.exhausted or self.trainer.should_stop,
            "segments": self.segments.until(self.data.cursor.step),
        }
        with self.evaluation_weights():
            evaluated = full_state(self.network)
        trained = full_state(self.network)
        if any(not torch.equal(value, trained[key]) for key, value in evaluated.items()):
            checkpoint["evaluation_weights"] = evaluated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint["paribus"]

    def _restore(self, state: dict[str, Any]) -> None:
        self.data.cursor.load(state["cursor"])
        self._totals.load(state["totals"])
        self.best_weights = state["best_weights"]
        self.schedule.load_state_dict(state["schedule"])
        self.journal.load(state, self.data.cursor if self.trainer.is_global_zero else None)
        self._restored_generators = state["random"]
        self.diverged = state.get("diverged", False)
        self.data.exhausted = state.get("finished", False)
        self.segments.load(state.get("segments"), self.data.cursor.step)

    def _random_states(self) -> list[dict[str, Tensor]]:
        """The global generators of every process."""
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.trainer.world_size == 1:
            return [own]
        everyone: list[dict[str, Tensor]] = [{} for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(everyone, own)
        return everyone


def total_norm(network: nn.Module) -> Tensor:
    """The 2-norm of all gradients together, a scalar."""
    norms = _norms_of([p.grad for p in network.parameters() if p.grad is not None])
    return whole(torch.linalg.vector_norm(torch.stack(norms)))

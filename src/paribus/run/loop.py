"""The LightningModule of a run or of a stack of runs: updates, epochs, validations, checkpoints.

It asks a task what a batch costs, and an engine for gradients, steps and evaluations. A run by itself and a stack
differ in their engine only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from paribus.base.lightning_hooks import Hooks
from paribus.base.movement import STILL, UPDATES, Movement
from paribus.run.agreement import Agreement, follow_first
from paribus.run.callbacks.observer import Observer
from paribus.run.data import Chunk, RunData
from paribus.run.engine import Engine
from paribus.run.journal import Journal
from paribus.run.metrics import Totals
from paribus.run.sharding import is_sharded, shard
from paribus.techniques.norms.statistics import read_in_training

CHUNK_SECONDS = 0.25  # length of a training step: short enough for progress, checkpoints and Ctrl-C
DIVERGENCE_CHECK_SECONDS = 10.0


class Loop(pl.LightningModule):
    """Minimises the loss of a task with manual optimisation.

    A training step works through a `Chunk` of batches, so that Lightning's loop is paid for once in many updates, or
    through one batch where a callback of others wants each (`Hooks`). Everything that belongs to an update (learning
    rate, clipping, accumulation, hooks) happens per update, and trainer.global_step counts updates as usual. Callbacks
    that want to act on every update implement

        on_gradients(loop)   after the backward pass and clipping, before the optimizer's step
        on_update(loop)      after it
        on_validated(loop, metrics)   after each validation, with the row of the history; may call end_training() or
            prune()
        evaluation_weights(loop)   a context manager: the weights to evaluate with (an average, say)

    Those that only watch are of the type `Observer`, and work in stacks too.

    Validation runs in large batches at the end of an epoch; metrics go to the run's history, to the loggers and to
    trainer.callback_metrics, where Lightning's own callbacks find them. (self.log costs 0.3 ms a value, which is
    more than several updates of a small network.)

    A trainee whose loss is not finite any more ends as its run by itself would; the others of a stack go on.

    accumulate: parts of a batch that go through the network one after the other.
    evaluate_every: epochs between validations; the last epoch is always validated.
    test_weights: last, or best on validation.
    release: called with the number of a trainee that has ended before the others, after its last checkpoint.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        accumulate: int = 1,
        evaluate_every: int = 1,
        test_weights: str = "last",
        release: Callable[[int], None] = lambda k: None,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.engine = engine
        self.network = engine.module
        self.task = engine.task  # registered where it is a module: its tensors go to the device
        self.trainees = list(engine.trainees)
        self.accumulate = accumulate
        self.evaluate_every = evaluate_every
        self.test_weights = test_weights
        self.release = release
        self.diverged = False  # nobody is left to train
        self.ended: list[int] = []  # trainees, since the last checkpoint
        self.begun = False  # an update has been taken
        self.still = 0.0  # share of the weights that training should have moved and did not, at its end
        self.stop_requested = False  # in this process; several agree on it
        self.pruned: dict[str, str] = {}  # why a search has stopped it, and which
        self.agreement = Agreement(1, torch.device("cpu"))
        self.agrees_now = True  # whether all processes are at a point where they may decide something together
        self.observed_seconds = 0.0  # that callbacks took for measurements; no part of the training time
        self.totals = Totals(engine.task, "cpu", engine.replicas)
        self.data: RunData
        self._grad_norms = torch.full((len(self.trainees),), math.nan)
        self._lost = False  # this process met numbers that are not finite
        # For all parts of a batch but the last: processes exchange its gradients once. (Those of FSDP exchange shards
        # for each part, since a whole gradient might not fit.)
        self._unsynchronised: Callable[[], AbstractContextManager[None]] = nullcontext
        self._shares_buffers = False  # of the first process, with the others
        self._movement: Movement | None = None  # of a run by itself
        self._restored: list[dict[str, Any]] | None = None
        self._restored_streams: list[list[dict[str, Tensor]]] | None = None

    # ------------------------------------------------------------------------------------------ Lightning's hooks

    def configure_model(self) -> None:
        strategy = self.trainer.strategy
        if not isinstance(strategy, ModelParallelStrategy):
            # Lightning would do so after it has loaded a checkpoint, whose weights it would have rounded by then.
            strategy.precision_plugin.convert_module(self)
        elif not is_sharded(self.network):
            shard(self.network, strategy.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        return self.engine.configure_optimizers()

    def on_fit_start(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        assert isinstance(data, RunData)
        self.data = data
        self.world = self.trainer.world_size
        size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        if size != self.world:  # each process would see the wrong share of the data
            raise RuntimeError(f"the run has {self.world} processes, its process group has {size}")
        data.place(self.device, self._input_dtype(), self.global_rank)
        for run in self.trainees:
            run.schedule.follow(data)
        self.totals = Totals(self.task, self.device, self.engine.replicas)
        callbacks: list[Any] = getattr(self.trainer, "callbacks", [])
        model = self.trainer.strategy.model if self.world > 1 else None
        if isinstance(model, DistributedDataParallel):
            self._unsynchronised = model.no_sync
            model.broadcast_buffers = False  # at each training step, and we do so at each update
            self._shares_buffers = bool(read_in_training(self.network))
        self.hooks = Hooks(self)
        data.in_chunks = not self.hooks.every_update
        self._gradient_hooks = [c.on_gradients for c in callbacks if hasattr(c, "on_gradients")]
        self._update_hooks = [c.on_update for c in callbacks if hasattr(c, "on_update")]
        self._validation_hooks = [c.on_validated for c in callbacks if hasattr(c, "on_validated")]
        self.agreement = Agreement(self.world, self.device)
        if not self.engine.replicas:
            self.trainees[0].observers = [c for c in callbacks if isinstance(c, Observer)]
        self._watched = any(observer.every_update for run in self.trainees for observer in run.observers)
        providers = [c.evaluation_weights for c in callbacks if hasattr(c, "evaluation_weights")]
        self.engine.begin(self, data, providers, watched=self._watched or bool(self._gradient_hooks))
        if not self.engine.replicas:
            self.trainees[0].loggers = self.trainer.loggers if self.trainer.is_global_zero else None
            self._movement = Movement(self.network)
        self._last_check = time.monotonic()
        if self._restored is not None:
            self._restore(self._restored)
        last, first = self.agreement.largest(data.cursor.step, -data.cursor.step)
        if last != -first:  # file systems of several machines show each other's files late
            raise RuntimeError(
                f"all processes go on from one checkpoint, and these go on from updates {int(-first)} to {int(last)}: "
                "some do not see the newest file. The same command tries again"
            )
        self.engine.mark_segments(data.cursor.step)
        self.release_ended()  # by what their checkpoints say: only their records are missing

    def training_step(self, chunk: Chunk | tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor] | None:
        started = time.perf_counter()
        self._set_streams()
        data, cursor = self.data, self.data.cursor
        # What callbacks take to measure is no part of the training time.
        seconds_before = cursor.seconds + self.observed_seconds
        updates = 0
        for x, y, size in data.batches(chunk):
            self._update(x, y, size)
            updates += 1
            cursor.seconds = seconds_before + time.perf_counter() - started - self.observed_seconds
            if data.spent() or self.diverged or (self.stop_requested and self.world == 1):
                break
        if self.world > 1:
            self._agree()
        else:
            each = (time.perf_counter() - started) / max(updates, 1)
            # A chunk that ended with the epoch was short for another reason than the clock.
            longest = 2 * data.updates_per_chunk + 1 if data.in_chunks else 1
            data.updates_per_chunk = max(1, min(longest, int(CHUNK_SECONDS / max(each, 1e-6))))
            if time.monotonic() - self._last_check > DIVERGENCE_CHECK_SECONDS:
                self._last_check = time.monotonic()
                self._check_divergence()
        if data.spent():
            data.exhausted = True
        return None if data.in_chunks else {"loss": self._loss}

    def _agree(self) -> None:
        """After a training step of several processes: they end together, and take as many updates in the next one."""
        cursor = self.data.cursor
        if self.data.updates is None:  # the schedule and the end follow the clock: that of the slowest
            [cursor.seconds] = self.agreement.largest(cursor.seconds)
        self.agrees_now = self.agreement.due(cursor.step)
        if self.agrees_now:
            lost = self._lost or not math.isfinite(float(self.totals.state()[0]))
            if self.agreement.decide(cursor.step, lost):
                self._end(0, "diverged")
        if self.data.in_chunks and self.data.updates is not None:
            self.data.updates_per_chunk = self.agreement.updates_left(cursor.step)

    def _set_streams(self) -> None:
        """Not in on_train_epoch_start, which Lightning leaves out after some restarts, and which comes before a
        DataLoader draws from the stream."""
        if self.data.cursor.update == 0:
            self.engine.seed(self.data.cursor.epoch)
        elif self._restored_streams is not None:
            self.engine.restore_streams(self._restored_streams)
        self._restored_streams = None

    def on_train_epoch_end(self) -> None:
        data, cursor = self.data, self.data.cursor
        if data.exhausted and cursor.update == 0:
            # The run was finished when it was killed: only its test is missing.
            self.trainer.should_stop = True
            self.trainer.callback_metrics.update({k: torch.tensor(v) for k, v in self.metrics.items()})
            return
        for k in self.living():
            for observer in self.trainees[k].observers:
                observer.epoch_ended(self.trainees[k], cursor.step)
        data.end_epoch()
        rows = self._training_rows()
        for k, row in rows.items():
            if not math.isfinite(row["train/loss"]):
                self._end(k, "diverged")
        last = data.exhausted or self.trainer.should_stop  # by the budget, or by somebody's callback
        validates = self.living() and (cursor.epoch % self.evaluate_every == 0 or last)
        with self.hooks.around("validation") if validates else nullcontext():
            if validates:
                self._validate(rows)
            for k, row in rows.items():
                self._write(k, row)
        if self.trainer.checkpoint_callback is None:
            self.release_ended()
        self._stop_if_all_ended()
        if data.exhausted:
            self.trainer.should_stop = True

    def _training_rows(self) -> dict[int, dict[str, float]]:
        """The row of the history of each trainee, from the totals of the epoch."""
        if self.world > 1:
            follow_first(list(self.network.buffers()))  # statistics of each process's own share until here
        self.agrees_now = True
        state = self.totals.state()
        if self.world > 1:
            state = state * math.nan if self._lost else state
            torch.distributed.all_reduce(state)
        self.totals.reset()
        totals = state.view(len(state), -1).cpu().unbind(1)
        norms: list[float] = self._grad_norms.tolist()
        # A run by itself that has diverged within the epoch tells of it; a stack went on without it.
        going = self.living() if self.engine.replicas else [0]
        return {
            k: {f"train/{key}": value for key, value in self.totals.compute(totals[k]).items()}
            | {"lr": float(self.trainees[k].param_groups()[0]["lr"]), "grad_norm": norms[k]}
            for k in going
        }

    def _validate(self, rows: dict[int, dict[str, float]]) -> None:
        """Add the metrics of a validation to the rows of the living, and keep the best weights."""
        with self.evaluation_weights():
            results = self.engine.evaluate("val")
            for k in self.living():
                run, row = self.trainees[k], rows[k]
                row.update({f"val/{key}": value for key, value in results[k].items()})
                if run.journal.is_best(row):
                    run.best_weights = self.engine.state_of(k)
                    run.best_is_new = True
                run.schedule.observe(run.journal.known.of(run.follows).cost(row[run.follows]))
        for k in self.living():
            for hook in self._validation_hooks:
                hook(self, rows[k])

    def on_train_end(self) -> None:
        """Test metrics, from the weights that evaluation.checkpoint names. Here the device is still ours."""
        if not (living := self.living()):
            return
        if self._movement is not None and self.data.cursor.step >= UPDATES:
            self.still = -self.agreement.largest(-self._movement.still())[0]
            if self.still > STILL:  # there is no network to test
                return
        with self.hooks.around("test"), self.engine.final_weights(self.test_weights == "best"):
            results = {k: self.engine.test(k) for k in living}
        for k, found in results.items():
            self._write(k, {f"test/{key}": value for key, value in found.items()}, row=False)

    # ------------------------------------------------------------------------------------------ one update

    def _update(self, x: Tensor, y: Tensor, size: int) -> None:
        """One update of every trainee, from this process's share (x, y) of global batches of `size` samples."""
        engine, cursor = self.engine, self.data.cursor
        engine.set_position(*self.data.position())
        if self._shares_buffers:
            follow_first(read_in_training(self.network))
        if self.task.augments:
            x, y = engine.augment(x, y, cursor.step)
        if self.accumulate == 1:
            self._backward(x, y, size)
        else:
            dim = len(engine.replicas)
            parts = x.tensor_split(self.accumulate, dim), y.tensor_split(self.accumulate, dim)
            for k, (part_x, part_y) in enumerate(zip(*parts, strict=True), 1):
                with nullcontext() if k == self.accumulate else self._unsynchronised():
                    self._backward(part_x, part_y, size)
        engine.clip()
        if self._watched:
            engine.show_gradients()
            for k in self.living():
                for observer in self.trainees[k].observers:
                    observer.gradients(self.trainees[k], cursor.step)
        for hook in self._gradient_hooks:
            hook(self)
        if self.data.last_of_epoch():
            self._grad_norms = engine.gradient_norms()
            if self._movement is not None and (cursor.epoch == 0 or self.data.last_of_run()):
                self._movement.look(self.optimizer)
        for k, reason in engine.step().items():
            if self.world > 1:
                self._lost = True  # the others may hold shards that are finite: they hear of it when all agree
            else:
                self._end(k, "failed" if reason else "diverged", reason)
        self.begun = True
        cursor.step += 1
        cursor.update += 1
        cursor.samples += size
        for hook in self._update_hooks:
            hook(self)
        if self._watched:
            for k in self.living():
                for observer in self.trainees[k].observers:
                    observer.updated(self.trainees[k], cursor.step)

    def _backward(self, x: Tensor, y: Tensor, size: int) -> None:
        # Processes average their gradients; shares of a ragged last batch count by their size.
        own = x.shape[len(self.engine.replicas)]
        loss, outputs = self.engine.backward(x, y, own * self.world / size)
        self.totals.update(loss, outputs, y)
        self._loss = loss.detach()  # of the last part of a batch

    # ------------------------------------------------------------------------------------------ trainees

    @property
    def optimizer(self) -> Optimizer:
        """That of a run by itself."""
        found: Any = self.optimizers(use_pl_optimizer=False)
        assert isinstance(found, Optimizer), "a stack has several"
        return found

    def living(self) -> list[int]:
        """The numbers of the trainees that have not ended."""
        return [k for k, run in enumerate(self.trainees) if run.ended is None]

    def _end(self, k: int, how: Literal["diverged", "failed"], failure: str = "") -> None:
        run = self.trainees[k]
        if run.ended is None:
            run.ended, run.failure = how, failure
            self.ended.append(k)
        if len(self.trainees) == 1:  # the last epoch of a stack is ended: its time is shared
            self._stop_if_all_ended()

    def _stop_if_all_ended(self) -> None:
        if not self.living():
            self.diverged = self.trainer.should_stop = self.data.exhausted = True

    def release_ended(self) -> None:
        """Hand over the trainees that have ended early: their last checkpoint is written."""
        ended, self.ended = self.ended, []
        for k in ended:
            self.trainees[k].released = True
            self.release(k)

    def share_of(self, seconds: float) -> float:
        """The part of the time that one trainee has cost."""
        return seconds / len(self.trainees)

    def _check_divergence(self) -> None:
        """In the middle of a long epoch; not of a stack, which would end differently if time decided."""
        if len(self.trainees) == 1 and not math.isfinite(float(self.totals.state()[0])):
            self._end(0, "diverged")

    def end_training(self) -> None:
        """Called within on_validated: the run is complete, as if its budget ended here."""
        self.data.exhausted = True

    def prune(self, why: str, study: str) -> None:
        """Called within on_validated: the run saves and ends here, and its numbers are no result."""
        self.pruned = {"message": why, "study": study}
        self.request_stop()

    def request_stop(self) -> None:
        """Stop after the update under way; the next checkpoint hook saves and ends the run."""
        self.stop_requested = True

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Within the context the networks have the weights that they are evaluated with."""
        return self.engine.evaluation_weights()

    def _input_dtype(self) -> torch.dtype:
        probe = self.trainer.precision_plugin.convert_input(torch.zeros(1))
        return probe.dtype if isinstance(probe, Tensor) else torch.float32

    # ------------------------------------------------------------------------------------------ logging

    @property
    def journal(self) -> Journal:
        """Of the run, or of the first of a stack that has not ended."""
        return self.trainees[next(iter(self.living()), 0)].journal

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of everything logged, and the best."""
        return self.journal.metrics

    def _write(self, k: int, values: dict[str, float], row: bool = True) -> None:
        run = self.trainees[k]
        if not self.engine.replicas:
            self.trainer.callback_metrics.update({key: torch.tensor(value) for key, value in values.items()})
        cursor = replace(self.data.cursor, seconds=self.share_of(self.data.cursor.seconds))
        run.journal.write(values, cursor, run.loggers, row)

    def observe(self, values: dict[str, float]) -> None:
        """Log what a callback has measured, as a row of its own between those of epochs."""
        self._write(0, values)

    # ------------------------------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds plain values and tensors only, so that a checkpoint loads with weights_only=True."""
        totals = self.totals.state()
        totals = totals.view(len(totals), -1)
        self.engine.save(checkpoint, [self._state(k, self._of_each(totals[:, k])) for k in range(len(self.trainees))])

    def _of_each(self, own: Tensor) -> Tensor:
        """A copy; of several processes those of each, (W, ...)."""
        if self.world == 1:
            return own.clone()
        found = [torch.empty_like(own) for _ in range(self.world)]
        torch.distributed.all_gather(found, own)
        return torch.stack(found)

    def _state(self, k: int, totals: Tensor) -> dict[str, Any]:
        run, cursor = self.trainees[k], self.data.cursor.state()
        return {
            "cursor": {**cursor, "seconds": self.share_of(cursor["seconds"])},
            "totals": totals,
            "best_weights": run.best_weights,
            **run.journal.state(),
            "schedule": run.schedule.state_dict(),
            "random": self.engine.random_states(k),
            "diverged": run.ended == "diverged",
            "finished": self.data.exhausted or self.trainer.should_stop or run.ended == "diverged",
            "segments": run.segments.until(cursor["step"]),
            **({"movement": self._movement.state()} if self._movement is not None else {}),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = self.engine.load(checkpoint)

    def _restore(self, states: list[dict[str, Any]]) -> None:
        data = self.data
        data.cursor.load(states[0]["cursor"])
        data.cursor.seconds = sum(state["cursor"]["seconds"] for state in states)
        own = [totals if (totals := state["totals"]).dim() == 1 else totals[self.global_rank] for state in states]
        totals = torch.stack(own, 1)
        self.totals.load(totals.view(len(totals), *self.engine.replicas))
        self._restored_streams = [state["random"] for state in states]
        for k, (run, state) in enumerate(zip(self.trainees, states, strict=True)):
            if run.ended == "absent":
                continue
            run.best_weights = state["best_weights"]
            run.best_is_new = run.best_weights is not None  # it may have been killed before they were written
            run.schedule.load_state_dict(state["schedule"])
            run.journal.load(state, data.cursor if self.trainer.is_global_zero else None)
            run.segments.load(state.get("segments"), data.cursor.step)
            if self._movement is not None:
                self._movement.load(state.get("movement"))
            if state.get("diverged", False):
                run.ended = "diverged"
                self.ended.append(k)
        self.diverged = not self.living()
        data.exhausted = self.diverged or states[self.living()[0]].get("finished", False)

"""The engine of a stack: each update is one of every run, in one forward and one backward pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from paribus.base.lightning_internals import update_counter
from paribus.datasets.seeds import mix
from paribus.extras.stack.checkpoint import member, share
from paribus.extras.stack.clip import StackedClip, norms
from paribus.extras.stack.data import batch_sizes, epochs, evaluation_sizes
from paribus.extras.stack.evaluation import evaluate, measured, recomputed_statistics
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.optimizers import Setting, StackedOptimizers
from paribus.extras.stack.program import EvaluationSums, Gradients
from paribus.extras.stack.task import StackedTask
from paribus.extras.stack.update import whole_updates
from paribus.run.data import RunData
from paribus.run.engine import Weights, seed_streams
from paribus.run.evaluation import evaluate as evaluate_network
from paribus.run.single import STATISTICS_BATCHES
from paribus.run.trainee import Trainee


class StackEngine:
    """See `paribus.run.engine.Engine`. The loss is the sum of the trainees' own; no term shares a parameter with
    another.

    A trainee whose loss is not finite any more goes on in the program; its numbers reach no other.

    task_keys, schedule_keys: equal for trainees whose task or schedule is the same function.
    evaluate_every: epochs between validations.
    """

    def __init__(
        self,
        trainees: Sequence[Trainee],
        *,
        task_keys: Sequence[str],
        schedule_keys: Sequence[str],
        accumulate: int = 1,
        evaluate_every: int = 1,
        evaluation_batch_size: int = 1000,
        compile: bool = False,
    ):
        self.trainees = list(trainees)
        self.replicas: tuple[int, ...] = (len(self.trainees),)
        self.module = StackedNetwork([run.network for run in self.trainees])
        self.task = StackedTask([run.task for run in self.trainees], task_keys)
        self.schedule_keys = list(schedule_keys)
        self.accumulate = accumulate
        self.evaluate_every = evaluate_every
        self.evaluation_batch_size = evaluation_batch_size
        self.compile = compile
        self.rows = [run.id for run in self.trainees]
        self.next_rows: list[str] | None = None  # what goes on from the checkpoint that is being written, if not this
        self._members: list[dict[str, Any]] | None = None

    def configure_optimizers(self) -> None:
        self.module.attach()
        keyed = zip(self.trainees, self.schedule_keys, strict=True)
        settings = [Setting(run.make_optimizer, run.schedule, key) for run, key in keyed]
        self.optimizers = StackedOptimizers(self.module, settings)
        for k, run in enumerate(self.trainees):
            run.param_groups = partial(self.optimizers.groups_of, k)

    def begin(
        self, loop: pl.LightningModule, data: RunData, providers: Sequence[Weights], watched: bool = False
    ) -> None:
        self.loop, self.data, self.device = loop, data, loop.device
        self._providers = providers
        self.optimizers.remember_rates()
        self._generator = torch.Generator(self.device)
        self._dropout = [torch.Generator(self.device) for _ in self.trainees]
        self.module.generators = self._dropout
        self._clip = StackedClip(
            [run.clip_norm for run in self.trainees], [run.clip_value for run in self.trainees], self.device
        )
        modules: list[Any] = list(self.module.program.modules())
        self._progress_hooks = [module.set_progress for module in modules if hasattr(module, "set_progress")]
        self._following = [module for module in modules if hasattr(module, "progress_state")]
        self._count = update_counter(loop.trainer)
        self._grads: dict[str, Tensor] = {}
        self._program = Gradients(self.module, self.task, self.calls(), self.compile)
        in_parts = watched or self._clip.clips or self.accumulate > 1
        self._whole = whole_updates(self._program, self.optimizers, in_parts)
        self._is_updated = False  # by a whole update, before the loop has asked for its parts
        evaluations = math.ceil(epochs(data) / self.evaluate_every)
        sizes = evaluation_sizes(data, "val", self.evaluation_batch())
        calls = {size: number * evaluations for size, number in sizes.items()}
        self._evaluation_sums = EvaluationSums(self.module, self.task, calls)
        if self._members is not None:
            self._restore(self._members)

    def calls(self) -> Counter[int]:
        """How many forward passes of each size a whole run makes in training."""
        found: Counter[int] = Counter()
        for size, number in batch_sizes(self.data).items():
            for part in torch.empty(size, device="meta").tensor_split(self.accumulate):
                found[len(part)] += number
        return found

    def mark_segments(self, step: int) -> None:
        for run in self.trainees:
            run.segments.begin(step, self.device, self.rows, self.compile)

    # ------------------------------------------------------------------------------------------ one update

    def seed(self, epoch: int) -> None:
        for generator, run in zip(self._dropout, self.trainees, strict=True):
            generator.manual_seed(mix(run.dropout_seed, 1, epoch, 0))
        # Of what ReplicaFunctions do not cover.
        seed_streams(mix(self.trainees[0].dropout_seed, 1, epoch, 0), self.device)

    def set_position(self, step: float, horizon: float) -> None:
        self.optimizers.set_rates(step, horizon)
        if not self._progress_hooks:
            return
        states = []
        for number in (step - 1, step):
            for set_progress in self._progress_hooks:
                set_progress(max(number, 0.0) / horizon)
            states.append([module.progress_state for module in self._following])
        # Whether what follows the progress has come to rest: the programs ask.
        self._program.steady = self._evaluation_sums.steady = states[0] == states[1] and step > 0

    def augment(self, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        changed = []
        for k, run in enumerate(self.trainees):
            self._generator.manual_seed(mix(run.augmentation_seed, step, 0))
            changed.append(run.task.augment(x[k], y[k], self._generator))
        return torch.stack([x for x, _ in changed]), torch.stack([y for _, y in changed])

    def backward(self, x: Tensor, y: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        whole = None if self.data.last_of_epoch() else self._whole  # whose gradients are measured
        if whole is not None and (found := whole(x, y)) is not None:
            self._is_updated = True
            return found
        losses, outputs, grads = self._program(x, y)
        if weight == 1.0:
            self._grads = grads
            return losses, outputs
        for name, grad in grads.items():
            part = grad * weight
            self._grads[name] = self._grads[name] + part if name in self._grads else part
        return losses, outputs

    def clip(self) -> None:
        if self._is_updated:
            return
        self._clip(self._grads)
        self.optimizers.assign(self._grads)

    def gradient_norms(self) -> Tensor:
        return norms(self._grads)

    def show_gradients(self) -> None:
        rows = {name: grad.unbind(0) for name, grad in self._grads.items()}
        for k, run in enumerate(self.trainees):
            for name, p in run.network.named_parameters():
                p.grad = rows[name][k] if name in rows else None

    def step(self) -> dict[int, str]:
        failed = {}
        for k, reason in ({} if self._is_updated else self.optimizers.step()).items():
            finite = all(bool(grad[k].isfinite().all()) for grad in self._grads.values())
            failed[k] = reason if finite else ""
        self._grads, self._is_updated = {}, False
        if self._count is not None:  # else Lightning's own global_step stays 0; nothing of ours asks for it
            self._count.ready += 1
            self._count.completed += 1
        return failed

    # ------------------------------------------------------------------------------------------ evaluation

    def evaluation_batch(self) -> int:
        """Samples at a time: without gradients, four times as many as in training take no more memory."""
        return max(4 * self.data.plan.batch_size_at(0), self.evaluation_batch_size // len(self.trainees))

    def evaluate(self, split: str) -> list[dict[str, float]]:
        with self.loop.trainer.precision_plugin.val_step_context():
            batches = self.data.evaluation_batches(split, self.evaluation_batch())
            found = evaluate(self.module, self.task, self._evaluation_sums, batches, self.device)
            for k, run in enumerate(self.trainees):
                if run.measures is not None and run.ended is None:  # one run after the other: no sums stand for them
                    batches = self.data.evaluation_batches(split, self.evaluation_batch_size)
                    found[k] |= measured(run.network, run.measures, batches, self.device)
            return found

    def test(self, k: int) -> dict[str, float]:
        """One run after the other, so that evaluating it again gives its test metrics exactly."""
        run = self.trainees[k]
        with self.loop.trainer.precision_plugin.val_step_context():
            batches = self.data.evaluation_batches("test", self.evaluation_batch_size)
            return evaluate_network(run.network, run.task, batches, device=self.device, measures=run.measures)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        averaging = self.optimizers.averaging()
        with ExitStack() as contexts:
            contexts.enter_context(self.optimizers.evaluation_weights())
            if averaging:
                size = self.evaluation_batch_size  # as the single run, since means of batches depend on it
                number = min(STATISTICS_BATCHES, max(1, len(self.data.splits.train) // size))
                batches = islice(self.data.evaluation_batches("train", size), number)
                contexts.enter_context(recomputed_statistics(self.module, averaging, batches))
            for provider in self._providers:
                contexts.enter_context(provider(self.loop))
            yield

    @contextmanager
    def final_weights(self, best: bool) -> Iterator[None]:
        if not best:
            with self.evaluation_weights():
                yield
            return
        size = range(len(self.trainees))
        own = [self.state_of(k) for k in size]
        with self.evaluation_weights():  # of one whose validation was never a number
            last = [self.state_of(k) for k in size]
        self.module.load([run.best_weights or weights for run, weights in zip(self.trainees, last, strict=True)])
        try:
            yield
        finally:
            self.module.load(own)

    def state_of(self, k: int) -> dict[str, Tensor]:
        return self.module.state_of(k)

    # ------------------------------------------------------------------------------------------ checkpoints

    def random_states(self, k: int) -> list[dict[str, Tensor]]:
        if self.device.type == "cuda":
            return [{"cpu": torch.get_rng_state(), "cuda": self._dropout[k].get_state()}]
        return [{"cpu": self._dropout[k].get_state()}]

    def restore_streams(self, states: Sequence[list[dict[str, Tensor]]]) -> None:
        kind, cursor = "cuda" if self.device.type == "cuda" else "cpu", self.data.cursor
        for generator, run, state in zip(self._dropout, self.trainees, states, strict=True):
            if kind in state[0]:
                generator.set_state(state[0][kind].cpu())
            else:  # saved on a CPU: a stream of its own from here on
                generator.manual_seed(mix(run.dropout_seed, 1, cursor.epoch, 0, cursor.update))

    def save(self, checkpoint: dict[str, Any], states: Sequence[dict[str, Any]]) -> None:
        """The part of each run that has not been released."""
        size = len(self.trainees)
        optimizers = self.optimizers.state_dicts()
        evaluated: list[dict[str, Tensor]] | None = None
        if self.optimizers.averaging() or self._providers:
            with self.evaluation_weights():
                evaluated = [self.state_of(k) for k in range(size)]
        stack = {"rows": self.next_rows or self.rows, "compile": self.compile}
        checkpoint["state_dict"] = {}
        checkpoint["members"] = [
            member(
                run,
                self.state_of(k),
                None if evaluated is None else evaluated[k],
                optimizers[k],
                {key: share(state, k, size) for key, state in checkpoint["callbacks"].items()},
                {**states[k], "stack": stack},
            )
            for k, run in enumerate(self.trainees)
            if not run.released
        ]

    def load(self, checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
        self._members = checkpoint["members"]
        return [each["paribus"] for each in checkpoint["members"]]

    def _restore(self, saved: Sequence[dict[str, Any]]) -> None:
        """Weights and optimizers; the loop restores the rest."""
        prefix = "network."
        states = [each["state_dict"] for each in saved]
        own = [{n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)} for state in states]
        self.module.load(own)
        present = [k for k, run in enumerate(self.trainees) if run.ended is None]
        self.optimizers.load_state_dicts([each["optimizer_states"][0] for each in saved], present)

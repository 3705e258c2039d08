"""The LightningModule of a stack: each update is one of every replica, in one forward and one backward pass."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from paribus.base.lightning_internals import update_counter
from paribus.datasets.seeds import mix
from paribus.extras.stack.checkpoint import member, share
from paribus.extras.stack.clip import StackedClip, norms
from paribus.extras.stack.data import StackedData
from paribus.extras.stack.evaluation import StackedLoss, evaluate, recomputed_statistics
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.optimizers import StackedOptimizers
from paribus.extras.stack.program import EvaluationSums, Gradients
from paribus.extras.stack.replica import Replica
from paribus.run.evaluation import evaluate as evaluate_network
from paribus.run.loop import STATISTICS_BATCHES, Loop
from paribus.run.metrics import Totals
from paribus.techniques.augment import Augmentation, Identity


class StackedLoop(Loop):
    """Minimises the sum over replicas k of loss_k(network_k(x_k), y_k); no term shares a parameter with another.

    The updates, hooks, chunks and metrics are those of `Loop`, for each replica. A replica whose loss is not
    finite any more ends as its single run would; its rows go on in the program and reach no other.

    release: called with the number of a replica when it has ended before the others, after its last checkpoint.
    """

    network: StackedNetwork
    loss: StackedLoss  # type: ignore[assignment]

    def __init__(
        self,
        replicas: Sequence[Replica],
        augmentation: Augmentation,
        *,
        release: Callable[[int], None],
        accumulate: int = 1,
        compile: bool = False,
        evaluate_every: int = 1,
        evaluation_batch_size: int = 1000,
        test_weights: str = "last",
    ):
        first = replicas[0]
        super().__init__(
            StackedNetwork([replica.network for replica in replicas]),
            StackedLoss([r.loss for r in replicas], [r.loss_key for r in replicas]),  # type: ignore[arg-type]
            first.optimizer.make,
            first.optimizer.schedule,
            augmentation,
            augmentation_seed=first.augmentation_seed,
            dropout_seed=first.dropout_seed,
            accumulate=accumulate,
            compile=compile,
            evaluate_every=evaluate_every,
            evaluation_batch_size=evaluation_batch_size,
            test_weights=test_weights,
        )
        self.strict_loading = False  # members bring their states themselves
        self.replicas = list(replicas)
        self.release = release
        self.ended: list[int] = []  # since the last checkpoint
        self.begun = False  # an update has been taken
        self.rows = [replica.id for replica in self.replicas]
        self.next_rows: list[str] | None = None  # what goes on from the checkpoint that is being written, if not this
        self.data: StackedData
        self._members: list[dict[str, Any]] | None = None

    # ------------------------------------------------------------------------------------------ Lightning's hooks

    def configure_model(self) -> None:
        pass

    def configure_optimizers(self) -> None:  # type: ignore[override]
        self.network.attach()
        self.stacked_optimizers = StackedOptimizers(self.network, [r.optimizer for r in self.replicas])

    def on_fit_start(self) -> None:
        self.data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.data.place(self.device, self._input_dtype(), 0)
        self.loss.to(self.device)
        self.stacked_optimizers.remember_rates()
        self._generator = torch.Generator(self.device)
        self._dropout = [torch.Generator(self.device) for _ in self.replicas]
        self.network.generators = self._dropout
        self._clip = StackedClip(
            [r.clip_norm for r in self.replicas], [r.clip_value for r in self.replicas], self.device
        )
        self._totals = Totals(self.device, [len(self.replicas)])
        self._grad_norms = torch.full((len(self.replicas),), math.nan)
        modules: list[Any] = list(self.network.program.modules())
        self._progress_hooks = [module.set_progress for module in modules if hasattr(module, "set_progress")]
        self._following = [module for module in modules if hasattr(module, "progress_state")]
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        self._update_hooks = [c.on_update for c in callbacks if hasattr(c, "on_update")]
        self._weight_providers = [c.evaluation_weights for c in callbacks if hasattr(c, "evaluation_weights")]
        # Where Lightning hides its counter, its own global_step stays 0; nothing of ours asks for it.
        self._count = update_counter(self.trainer) or SimpleNamespace(ready=0, completed=0)
        self._bare = True
        self._last_check = time.monotonic()
        self._observed = any(replica.observers for replica in self.replicas)
        for k, replica in enumerate(self.replicas):
            replica.view = SimpleNamespace(
                network=self.network.replicas[k],
                data=self.data,
                trainer=SimpleNamespace(is_global_zero=True, loggers=replica.loggers),
            )
        if self._members is not None:
            self._restore_members(self._members)
        for replica in self.replicas:
            replica.segments.begin(self.data.cursor.step, self.device, self.rows, self.compile_network)
        self.release_ended()  # by what their checkpoints say: only their records are missing
        self._program = Gradients(self.network, self.loss, self._calls(), self.compile_network)
        evaluations = math.ceil(self.data.epochs() / self.evaluate_every)
        sizes = self.data.evaluation_sizes("val", self.evaluation_batch())
        self._evaluation_sums = EvaluationSums(
            self.network, self.loss, {size: number * evaluations for size, number in sizes.items()}
        )

    def _calls(self) -> Counter[int]:
        """How many forward passes of each size a whole run makes in training."""
        found: Counter[int] = Counter()
        for size, number in self.data.batch_sizes().items():
            for part in torch.empty(size, device="meta").tensor_split(self.accumulate):
                found[len(part)] += number
        return found

    def on_train_epoch_start(self) -> None:
        if self.data.cursor.update == 0:
            epoch = self.data.cursor.epoch
            for generator, replica in zip(self._dropout, self.replicas, strict=True):
                generator.manual_seed(mix(replica.dropout_seed, 1, epoch, 0))
            seed = mix(self.dropout_seed, 1, epoch, 0)  # of what ReplicaFunctions do not cover
            torch.default_generator.manual_seed(seed)
            if self.device.type == "cuda":
                torch.cuda.manual_seed(seed)

    def _check_divergence(self) -> None:
        """Not in the middle of an epoch: the others go on, and would end differently if time decided."""

    def on_train_epoch_end(self) -> None:
        data, cursor = self.data, self.data.cursor
        if data.exhausted and cursor.update == 0:
            # The runs were finished when they were killed: only their test is missing.
            self.trainer.should_stop = True
            return
        for k in self.living():  # callbacks come before the module
            self._observe(k, "on_train_epoch_end", self.replicas[k].view.trainer)
        data.end_epoch()
        totals, norms_ = self._totals.state().cpu().unbind(1), self._grad_norms.tolist()
        self._totals.reset()
        rows: dict[int, dict[str, float]] = {}
        for k in self.living():
            rows[k] = {f"train/{key}": value for key, value in Totals.compute(totals[k]).items()}
            rows[k]["lr"] = float(self.stacked_optimizers.groups_of(k)[0]["lr"])
            rows[k]["grad_norm"] = norms_[k]
            if not math.isfinite(rows[k]["train/loss"]):
                self._end(k, "diverged")
        living = self.living()
        if living and (cursor.epoch % self.evaluate_every == 0 or data.spent()):
            with self.evaluation_weights():
                results = self._evaluate("val")
                for k in living:
                    rows[k].update({f"val/{key}": value for key, value in results[k].items()})
                    if self.replicas[k].journal.is_best(rows[k]):
                        self.replicas[k].best_weights = self.network.state_of(k)
                        self.replicas[k].best_is_new = True
        for k, row in rows.items():
            self._write(k, row)
        self.journal.metrics.update(rows[living[0]] if living else {})  # for the line of progress
        if self.trainer.checkpoint_callback is None:
            self.release_ended()
        self.diverged = not living
        data.exhausted = data.exhausted or self.diverged
        if data.exhausted:
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        living = self.living()
        if not living:
            return
        if self.test_weights == "best":
            own = [self.network.state_of(k) for k in range(len(self.replicas))]
            with self.evaluation_weights():  # of one whose validation was never a number
                last = [self.network.state_of(k) for k in range(len(self.replicas))]
            self.network.load([r.best_weights or weights for r, weights in zip(self.replicas, last, strict=True)])
            results = self._test()
            self.network.load(own)
        else:
            with self.evaluation_weights():
                results = self._test()
        for k in living:
            self._write(k, {f"test/{key}": value for key, value in results[k].items()}, row=False)

    # ------------------------------------------------------------------------------------------ one update

    def _update(self, x: Tensor, y: Tensor, size: int) -> None:
        """One update of every replica: x (R, N, C, H, W), y (R, N)."""
        cursor = self.data.cursor
        step, horizon = self.data.position()
        self.stacked_optimizers.set_rates(step, horizon)
        if self._progress_hooks:
            self._follow(step, horizon)
        if not isinstance(self.augmentation, Identity):
            x, y = self._augment(x, y, cursor.step)
        grads = self._gradients(x, y, size)
        self._clip(grads)
        self.stacked_optimizers.assign(grads)
        if self._observed:
            self._show_gradients(grads)
        if self.data.last_of_epoch():
            self._grad_norms = norms(grads)
        for k, reason in self.stacked_optimizers.step().items():
            finite = all(bool(grad[k].isfinite().all()) for grad in grads.values())
            self._end(k, "failed" if finite else "diverged", reason if finite else "")
        self._count.ready += 1
        self._count.completed += 1
        self.begun = True
        cursor.step += 1
        cursor.update += 1
        cursor.samples += size
        for hook in self._update_hooks:
            hook(self)
        if self._observed:
            for k in self.living():
                self._observe(k, "on_update")

    def _follow(self, step: float, horizon: float) -> None:
        """Tell the modules that follow the progress of training, and the programs whether that changes anything."""
        states = []
        for number in (step - 1, step):
            for set_progress in self._progress_hooks:
                set_progress(max(number, 0.0) / horizon)
            states.append([module.progress_state for module in self._following])
        self._program.steady = self._evaluation_sums.steady = states[0] == states[1] and step > 0

    def _gradients(self, x: Tensor, y: Tensor, size: int) -> dict[str, Tensor]:
        """Of each replica's own mean loss over its batch, stacked, in the layout of the parameters."""
        if self.accumulate == 1:
            return self._counted(x, y)
        sums: dict[str, Tensor] = {}
        for part_x, part_y in zip(x.tensor_split(self.accumulate, 1), y.tensor_split(self.accumulate, 1), strict=True):
            for name, grad in self._counted(part_x, part_y).items():
                share = grad * (part_x.shape[1] / size)
                sums[name] = sums[name] + share if name in sums else share
        return sums

    def _counted(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        losses, outputs, grads = self._program(x, y)
        self._totals.update(losses, outputs, y, self.loss)
        return grads

    def _augment(self, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        changed = []
        for k, replica in enumerate(self.replicas):
            self._generator.manual_seed(mix(replica.augmentation_seed, step, 0))
            changed.append(self.augmentation(x[k], y[k], num_classes=self.loss.num_classes, generator=self._generator))
        return torch.stack([x for x, _ in changed]), torch.stack([y for _, y in changed])

    # ------------------------------------------------------------------------------------------ replicas

    def living(self) -> list[int]:
        return [k for k, replica in enumerate(self.replicas) if replica.ended is None]

    def _end(self, k: int, how: Any, failure: str = "") -> None:
        if self.replicas[k].ended is None:
            self.replicas[k].ended = how
            self.replicas[k].failure = failure
            self.ended.append(k)

    def release_ended(self) -> None:
        """Hand over the replicas that have ended early: their last checkpoint is written."""
        ended, self.ended = self.ended, []
        for k in ended:
            self.release(k)

    def share_of(self, seconds: float) -> float:
        """The part of the stack's time that one replica has cost."""
        return seconds / len(self.replicas)

    def _write(self, k: int, values: dict[str, float], row: bool = True) -> None:
        cursor = replace(self.data.cursor, seconds=self.share_of(self.data.cursor.seconds))
        self.replicas[k].journal.write(values, cursor, self.replicas[k].loggers, row)

    def _show_gradients(self, grads: dict[str, Tensor]) -> None:
        rows = {name: grad.unbind(0) for name, grad in grads.items()}
        for k in self.living():
            for name, p in self.network.replicas[k].named_parameters():
                p.grad = rows[name][k] if name in rows else None
            self._observe(k, "on_gradients")

    def _observe(self, k: int, hook: str, *arguments: Any) -> None:
        view = self.replicas[k].view
        view.optimizer = SimpleNamespace(param_groups=self.stacked_optimizers.groups_of(k))
        for observer in self.replicas[k].observers:
            if hasattr(observer, hook):
                getattr(observer, hook)(*arguments, view)

    # ------------------------------------------------------------------------------------------ evaluation

    def evaluation_batch(self) -> int:
        """Samples at a time: without gradients, four times as many as in training take no more memory."""
        return max(4 * self.data.plan.batch_size_at(0), self.evaluation_batch_size // len(self.replicas))

    def _evaluate(self, split: str) -> list[dict[str, float]]:
        with self.trainer.precision_plugin.val_step_context():
            batches = self.data.evaluation_batches(split, self.evaluation_batch())
            return evaluate(self.network, self._evaluation_sums, batches, self.device)

    def _test(self) -> list[dict[str, float]]:
        """One replica after the other, so that evaluating a run again gives its test metrics exactly."""
        with self.trainer.precision_plugin.val_step_context():
            return [
                {}
                if replica.ended
                else evaluate_network(
                    network,
                    replica.loss.to(self.device),
                    self.data.evaluation_batches("test", self.evaluation_batch_size),
                    device=self.device,
                )
                for network, replica in zip(self.network.replicas, self.replicas, strict=True)
            ]

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        averaging = self.stacked_optimizers.averaging()
        with ExitStack() as contexts:
            contexts.enter_context(self.stacked_optimizers.evaluation_weights())
            if averaging:
                size = self.evaluation_batch_size  # as the single run, since means of batches depend on it
                number = min(STATISTICS_BATCHES, max(1, len(self.data.splits.train) // size))
                batches = islice(self.data.evaluation_batches("train", size), number)
                contexts.enter_context(recomputed_statistics(self.network, averaging, batches))
            for provider in self._weight_providers:
                contexts.enter_context(provider(self))
            yield

    # ------------------------------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The part of each replica that has not been released."""
        size = len(self.replicas)
        optimizers = self.stacked_optimizers.state_dicts()
        evaluated: list[dict[str, Tensor]] | None = None
        if self.stacked_optimizers.averaging() or self._weight_providers:
            with self.evaluation_weights():
                evaluated = [self.network.state_of(k) for k in range(size)]
        checkpoint["state_dict"] = {}
        checkpoint["members"] = [
            member(
                replica,
                self.network.state_of(k),
                None if evaluated is None else evaluated[k],
                optimizers[k],
                {key: share(state, k, size) for key, state in checkpoint["callbacks"].items()},
                self._own_state(k),
            )
            for k, replica in enumerate(self.replicas)
            if replica.ended is None or k in self.ended
        ]

    def _own_state(self, k: int) -> dict[str, Any]:
        """What the loop of a single run would save of itself."""
        replica, cursor = self.replicas[k], self.data.cursor.state()
        return {
            "cursor": {**cursor, "seconds": self.share_of(cursor["seconds"])},
            "totals": self._totals.state()[:, k].clone(),
            "best_weights": replica.best_weights,
            **replica.journal.state(),
            "schedule": replica.optimizer.schedule.state_dict(),
            "random": self.random_states(k),
            "diverged": replica.ended == "diverged",
            "finished": self.data.exhausted or self.trainer.should_stop or replica.ended == "diverged",
            "stack": {"rows": self.next_rows or self.rows, "compile": self.compile_network},
            "segments": replica.segments.until(cursor["step"]),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._members = checkpoint["members"]

    def _restore_members(self, saved: Sequence[dict[str, Any]]) -> None:
        states = [member["paribus"] for member in saved]
        prefix = "network."
        self.network.load([{n.removeprefix(prefix): v for n, v in m["state_dict"].items()} for m in saved])
        self.stacked_optimizers.load_state_dicts([member["optimizer_states"][0] for member in saved], self.living())
        self.data.cursor.load(states[0]["cursor"])
        self.data.cursor.seconds = sum(state["cursor"]["seconds"] for state in states)
        self._totals.load(torch.stack([state["totals"] for state in states], 1))
        kind = "cuda" if self.device.type == "cuda" else "cpu"
        for k, (replica, state, generator) in enumerate(zip(self.replicas, states, self._dropout, strict=True)):
            generator.set_state(state["random"][0][kind].cpu())
            if replica.ended == "absent":
                continue
            replica.best_weights = state["best_weights"]
            replica.best_is_new = replica.best_weights is not None  # it may have been killed before they were written
            replica.journal.load(state, self.data.cursor)
            replica.segments.load(state.get("segments"), self.data.cursor.step)
            if state.get("diverged", False):
                self._end(k, "diverged")
        living = self.living()
        self.diverged = not living
        self.data.exhausted = self.diverged or states[living[0]].get("finished", False)

    def random_states(self, k: int) -> list[dict[str, Tensor]]:
        """In the form of a single run: the streams that it would go on with."""
        if self.device.type == "cuda":
            return [{"cpu": torch.get_rng_state(), "cuda": self._dropout[k].get_state()}]
        return [{"cpu": self._dropout[k].get_state()}]

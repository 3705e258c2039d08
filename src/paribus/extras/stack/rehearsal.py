"""The rehearsal of a stack: a test, before it begins, that the user's code trains in it as it does alone.

Each member takes its first updates twice, by the code that trains runs and by the code that trains stacks: on its own
network, batches, augmentation, seeds, loss and optimizer. Losses, gradients, buffers and an evaluation must agree. This
happens in double precision, where batched kernels and single ones differ by 1e-15, and not by the 1e-6 that could hide
a difference of meaning. What the code keeps in Python must be the same for all members, and the same afterwards.

Nothing is consumed: networks, optimizers and data orders are made anew from their seeds, and the global random streams
are put back.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from paribus.base.torch_internals import DispatchMode
from paribus.config.run import Run
from paribus.datasets.prepare import TensorSet
from paribus.datasets.seeds import mix
from paribus.extras.stack.attributes import Unstackable, Values, attributes, first_difference, surroundings
from paribus.extras.stack.engine import StackEngine
from paribus.extras.stack.fit import build_stack_loop
from paribus.extras.stack.members import Member, in_order
from paribus.run import build
from paribus.run.bookkeeping import brief
from paribus.run.callbacks.ema import EMA
from paribus.run.callbacks.observer import Observer
from paribus.run.data import RunData
from paribus.run.fit import build_callbacks, build_loop, build_trainee, build_trainer, quiet_lightning
from paribus.run.loop import Loop
from paribus.run.trainee import Trainee
from paribus.techniques.schedules import Schedule

UPDATES = 3
TOGETHER = 8  # members to a stack of the rehearsal: in double precision it takes twice the memory
EVALUATED = 64  # samples of the validation and the test set


class FailsAlone(Exception):
    """A member can't take three updates by itself either: it shall say so in a record of its own."""


def objection(members: Sequence[Member], setting: build.Setting, data: RunData) -> str | None:
    """Why a stack can't stand for these runs; None where it can."""
    members = in_order(members)
    reason: str | None = None
    with streams_kept():
        for precision in ("64-true", "32-true"):
            if precision == "64-true" and members[0].run.device == "mps":
                continue  # it has no double precision
            try:
                return _Rehearsal(members, setting, data, precision).objection()
            except FailsAlone as error:  # in double precision, which a network may not take, or in any
                reason = str(error)
    return reason


@dataclass
class _Account:
    """What three updates came to. marks: of losses, gradients and buffers, by name."""

    marks: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    held: Values = field(default_factory=dict)


class _Rehearsal:
    def __init__(self, members: Sequence[Member], setting: build.Setting, data: RunData, precision: str):
        self.members = list(members)
        self.runs = [rehearsed(member.run, precision) for member in members]
        self.setting = setting
        self.data = data
        self.double = precision == "64-true"
        self.on_gpu = self.runs[0].trainer.on_gpu

    def objection(self) -> str | None:
        try:
            alone = [self.alone(k) for k in range(len(self.members))]
            for account in alone[1:]:
                if (where := first_difference(alone[0].held, account.held)) is not None:
                    return f"{where} differs between the runs, but a stack has one for all"
            before = self.around
            for start in range(1, len(self.members), TOGETHER - 1):
                chosen = [0, *range(start, min(start + TOGETHER - 1, len(self.members)))]
                found = self.together(chosen)
                for k, account in zip(chosen, found, strict=True):
                    if (difference := self.difference(alone[k], account)) is not None:
                        return f"in a stack, {difference}"
            if (where := first_difference(before, self.surroundings())) is not None:
                return f"{where} changes while networks are built or trained"
        except Unstackable as reason:
            return str(reason)
        return None

    def alone(self, k: int) -> _Account:
        """Build and train member k by itself.

        Raises FailsAlone where that fails, and Unstackable where it changes what is neither parameter nor buffer.
        """
        run = self.runs[k]
        account = _Account()
        with streams_watched() as watch:
            try:
                own = build.build_setting(run)
                own.task.prepare(self.data.splits)
                loop = build_loop(run, own, None)
                [trainee] = loop.trainees
                parts = {"the loss": own.loss, "the augmentation": own.augmentation, "the task": own.task}
                things = {"the network": trainee.network, **parts}
                before = held(things)
                if k == 0:
                    self.things = [*things.values(), type(trainee.make_optimizer(trainee.network))]
                    self.around = self.surroundings()
                data = _Short(self.data, trainee.order_seed, trainee.schedule)
                recorder = _Recorder(account)
                trainer = self.trainer(k, [recorder, _LossRecorder([account])])
                with quiet_lightning(), _Dropout(trainee.dropout_seed) if self.on_gpu else nullcontext():
                    trainer.fit(loop, datamodule=data)
            except (Unstackable, KeyboardInterrupt):
                raise
            except Exception as error:
                raise FailsAlone(f"{type(error).__name__}: {error}") from error
        account.metrics = dict(loop.metrics)
        recorder.buffers(loop.network)
        account.held = held(things)
        if (where := first_difference(before, account.held)) is not None:
            raise Unstackable(f"{where} changes during training, so its behaviour may depend on it")
        if watch.moved:
            raise Unstackable(f"it draws from the global random stream of {watch.moved}")
        return account

    def together(self, chosen: Sequence[int]) -> list[_Account]:
        """Train some members as a stack.

        Raises Unstackable where that can't be done.
        """
        accounts = [_Account() for _ in chosen]
        try:
            members = [replace(self.members[k], run=self.runs[k]) for k in chosen]
            trainees = [self.trainee(member.run) for member in members]
            recorders = [_Recorder(account) for account in accounts]
            for trainee, recorder in zip(trainees, recorders, strict=True):
                trainee.observers = [recorder]
            data = _Short(self.data, [trainee.order_seed for trainee in trainees], self.setting.schedule)
            runs = [member.run for member in members]
            loop = build_stack_loop(runs, trainees, lambda k: None, False, _Engine)
            assert isinstance(loop.engine, _Engine)
            trainer = self.trainer(chosen[0], [_LossRecorder(accounts)])
            with quiet_lightning():
                trainer.fit(loop, datamodule=data)
            if not all(map(torch.equal, loop.engine.streams, streams())):
                raise Unstackable("it draws from torch's global random stream, which the members of a stack share")
        except (Unstackable, KeyboardInterrupt):
            raise
        except Exception as error:
            raise Unstackable(f"torch.func.vmap can't call it ({brief(error)})") from error
        for account, trainee, recorder in zip(accounts, trainees, recorders, strict=True):
            account.metrics = dict(trainee.journal.metrics)
            recorder.buffers(trainee.network)
        return accounts

    def trainee(self, run: Run) -> Trainee:
        """A member as it trains, but that it writes nothing."""
        own = build.build_setting(run)
        own.task.prepare(self.data.splits)
        return build_trainee(run, own, None)

    def trainer(self, k: int, recorders: list[pl.Callback]) -> pl.Trainer:
        folder = self.members[k].folder
        own = [callback for callback in build_callbacks(self.runs[k], folder) if isinstance(callback, EMA)]
        return build_trainer(self.runs[k], [*own, *recorders], [], folder)

    def surroundings(self) -> Values:
        return surroundings(*self.things)

    def difference(self, alone: _Account, stacked: _Account) -> str | None:
        """Where two accounts of a member differ by more than rounding explains; None where they do not."""
        types = [torch.float64, torch.float32] if self.double else [torch.float32]
        found: str | None = None
        for dtype in types:
            found = _difference(alone, stacked, math.sqrt(torch.finfo(dtype).eps))
            if found is None and (dtype == types[0] or self.casts()):
                return None
        return found or _difference(alone, stacked, math.sqrt(torch.finfo(types[0]).eps))

    def casts(self) -> bool:
        """Whether the network itself computes in single precision: it then rounds to that, here too."""
        network = build.build_network(self.runs[0], self.setting).double()
        x, _ = next(_Short(self.data, 0, self.setting.schedule).evaluation_batches("val", EVALUATED))
        device = x.device
        with _Casts() as casts:
            network.to(device)(_copy(x, torch.float64))
        result: bool = casts.seen
        return result


def _copy(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers in a type, tokens as they are: what a network does to its batch reaches nobody else."""
    return x.to(dtype if x.is_floating_point() else x.dtype, copy=True)


def _difference(alone: _Account, stacked: _Account, tolerance: float) -> str | None:
    """Half of the digits must agree: as much as is usual to ask of two orders of the same sums."""
    names = [*alone.marks, *(name for name in stacked.marks if name not in alone.marks)]
    for name in sorted(names, key=lambda name: name == "scale"):
        if name not in alone.marks or name not in stacked.marks:
            return f"{name} exists in only one of the two"
        one, other = alone.marks[name], stacked.marks[name]
        size = float(one.abs().nan_to_num().max())
        # A gradient that is zero but for rounding (of a bias before a norm, say) is compared with the others.
        rounding = 1e3 * tolerance**2 * float(alone.marks["scale"])
        if not torch.allclose(one, other, rtol=0.0, atol=max(tolerance * size, rounding), equal_nan=True):
            gap = float((one - other).abs().nan_to_num(math.inf).max()) / max(size, 1e-300)
            return f"{name} differs from that of the run alone by {gap:.2g} of its size"
    if set(alone.metrics) != set(stacked.metrics):
        return f"the metrics differ: {sorted(set(alone.metrics) ^ set(stacked.metrics))}"
    for name, value in alone.metrics.items():
        found = stacked.metrics[name]
        counted = name.rpartition("/")[2].startswith(("acc", "ece"))
        allowed = 1.5 / EVALUATED if counted else tolerance * max(abs(value), 1e-3)
        if not (abs(value - found) <= allowed or (math.isnan(value) and math.isnan(found)) or value == found):
            return f"{name} is {found:.9g} and not {value:.9g} as alone"
    return None


def rehearsed(run: Run, precision: str) -> Run:
    """A member's rehearsal: all as it will train, but for the precision and what compiling would cost."""
    return run.but({"trainer.precision": precision, "trainer.compile": False})


def held(things: Mapping[str, object]) -> Values:
    found: Values = {}
    for name, thing in things.items():
        found.update(attributes(thing, name))
    loss = things["the loss"]
    if isinstance(loss, nn.Module):  # a stack calls one loss for all members, so a state of it would be shared
        found.update({f"the loss's {name}": mark(value).tolist() for name, value in loss.state_dict().items()})
    return found


# ------------------------------------------------------------------------------------------ data


class _Short(RunData):
    """The first updates of a run or of a stack, in its own order, and a few samples to evaluate."""

    def __init__(self, data: RunData, order_seed: int | Sequence[int], schedule: Schedule):
        super().__init__(
            replace(data.splits),
            data.base_batch_size,
            data.budget,
            schedule=schedule,
            order_seed=order_seed,
            drop_last=data.drop_last,
        )
        self.updates = min(UPDATES, self.updates or UPDATES)

    def place(self, device: torch.device, dtype: torch.dtype, rank: int) -> None:
        """The samples stay in the type that they have: batches are converted instead."""
        super().place(device, torch.float32, rank)
        self.dtype = dtype

    def batches(self, chunk: Any) -> Iterator[tuple[Tensor, Tensor, int]]:
        for x, y, size in super().batches(chunk):
            yield _copy(x, self.dtype), y.clone(), size

    def evaluation_batches(self, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        part = getattr(self.splits, split)
        assert isinstance(part, TensorSet)
        x, y = part.slice(0, min(EVALUATED, len(part)))
        yield _copy(x, self.dtype), y.clone()


class _Engine(StackEngine):
    """A stack that is traced as if its runs were long ones, and that remembers torch's streams once they are seeded."""

    streams: list[Tensor] = []

    def calls(self) -> Counter[int]:
        return Counter({size: sys.maxsize for size in super().calls()})

    def seed(self, epoch: int) -> None:
        super().seed(epoch)
        self.streams = streams()


# ------------------------------------------------------------------------------------------ accounts


def mark(value: Tensor) -> Tensor:
    """Three numbers that tell a tensor from every other: its norm, and sums with two irregular weights."""
    flat = value.detach().to("cpu").double().flatten()
    number = torch.arange(1, len(flat) + 1, dtype=torch.float64)
    weights = torch.stack([(number * math.sqrt(2)).sin(), (number * math.sqrt(3)).sin()])
    return torch.cat([flat.norm()[None], weights @ flat]) if len(flat) else torch.zeros(3)


class _Recorder(Observer):
    """The gradients of a run, by itself or in a stack."""

    every_update = True

    def __init__(self, account: _Account):
        self.account = account

    def gradients(self, run: Trainee, step: int) -> None:
        found = {name: p.grad for name, p in run.network.named_parameters() if p.requires_grad}
        for name, grad in found.items():
            # No gradient, as alone, and one of zeros, as in a stack, are the same to whoever reads it here.
            value = torch.zeros(3, dtype=torch.float64) if grad is None else mark(grad)
            self.account.marks[f"the gradient of {name} in update {step + 1}"] = value
        size = max((float(value[0]) for value in self.account.marks.values()), default=0.0)
        self.account.marks["scale"] = torch.tensor([size], dtype=torch.float64)

    def buffers(self, network: nn.Module) -> None:
        for name, value in network.named_buffers():
            self.account.marks[f"the buffer {name}"] = mark(value)


class _LossRecorder(pl.Callback):
    """The losses of all runs of a loop."""

    def __init__(self, accounts: Sequence[_Account]):
        self.accounts = accounts

    def on_update(self, loop: Loop) -> None:
        losses = loop.totals.state()[0].reshape(-1).cpu().double()
        for account, loss in zip(self.accounts, losses.split(1), strict=True):
            account.marks[f"the loss until update {loop.data.cursor.step}"] = loss


class _Dropout(TorchFunctionMode):
    """Dropout of a run by itself that draws as in a stack: on a GPU their streams are different ones, equally good."""

    def __init__(self, dropout_seed: int):
        super().__init__()
        self.seed = mix(dropout_seed, 1, 0, 0)
        self.generator: torch.Generator | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.dropout:
            return self.dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return x
        if self.generator is None:
            self.generator = torch.Generator(x.device).manual_seed(self.seed)
        kept = torch.empty_like(x.detach()).bernoulli_(1.0 - p, generator=self.generator)
        return x * (kept / (1.0 - p) if p < 1.0 else kept)


class _Casts(DispatchMode):
    """Whether doubles became singles."""

    seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in args)
        if given and isinstance(out, Tensor) and out.is_floating_point() and out.dtype != torch.float64:
            self.seen = True
        return out


# ------------------------------------------------------------------------------------------ random streams


@contextmanager
def streams_kept() -> Iterator[None]:
    """The global random streams are afterwards where they were."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    own, numpy = random.getstate(), sys.modules.get("numpy")
    numbers = numpy.random.get_state() if numpy is not None else None
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(own)
            if numpy is not None:
                numpy.random.set_state(numbers)


def streams() -> list[Tensor]:
    """The states of torch's global random streams."""
    found = [torch.default_generator.get_state()]
    if torch.cuda.is_initialized():
        found += [torch.cuda.get_rng_state(device) for device in range(torch.cuda.device_count())]
    return found


@dataclass
class _Watch:
    moved: str = ""


@contextmanager
def streams_watched() -> Iterator[_Watch]:
    """Whether Python's or numpy's global stream has moved. Nobody seeds those, so a run can't be trained again."""
    watch, own, numbers = _Watch(), random.getstate(), _numbers()
    yield watch
    if random.getstate() != own:
        watch.moved = "Python's random"
    elif _numbers() != numbers:
        watch.moved = "numpy"


def _numbers() -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    _, keys, *rest = numpy.random.get_state()
    return keys.tobytes(), rest

"""The random streams of a module and its loaders: each epoch is a function of the seeds and of its number.

    seeds.init          the constructor of the module; torch's generators during training steps (dropout)
    seeds.order         the data module; the samplers of the loaders
    seeds.augmentation  the workers of the loaders; Python's and numpy's generators in the main process

Every epoch starts these streams anew, so a run that goes on from the end of an epoch needs no state of them, and it
makes no difference what else has drawn numbers in between. A loader without workers reads its samples in the main
process: what it draws there with torch is of the stream of the module, since the two take turns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from paribus.config.run import Run
from paribus.datasets.seeds import mix
from paribus.run.build import stream

Begin = Callable[["Any", int], None]
_FIRST, _STEPS, _EPOCH, _SETUP, _TEST = 1, 2, 3, 4, 5  # the parts of an epoch's stream


class Streams:
    """The seeds of a run, and the generators that are set to them."""

    def __init__(self, run: Run):
        self.init = stream(run, "init")
        self.order = stream(run, "order")
        self.augmentation = stream(run, "augmentation")
        self.rank = 0
        self._own: dict[int, tuple[Any, torch.Generator]] = {}  # with its owner, or another could come to lie there

    def module(self) -> None:
        """Before the module is made: every process starts with the same weights."""
        seed_everything(mix(self.init, 0))

    def datamodule(self) -> None:
        """Before the data module is made and set up: every process has the same split."""
        seed_everything(mix(self.order, _SETUP))

    def epoch(self, epoch: int) -> None:
        """Before the hooks of an epoch."""
        seed_everything(mix(self.init, _EPOCH, epoch, self.rank))

    def first_batch(self, epoch: int) -> None:
        """Before the first batch of an epoch is read: Python's and numpy's generators stay with the loader."""
        seed_everything(mix(self.augmentation, _FIRST, epoch, self.rank))

    def steps(self, epoch: int) -> None:
        """Before the first training step of an epoch."""
        seed_torch(mix(self.init, _STEPS, epoch, self.rank))

    def test(self) -> None:
        """Before a test, which may draw as well."""
        seed_everything(mix(self.init, _TEST))

    def loader(self, loader: Any, epoch: int, number: int, turn: int) -> None:
        """Before a training loader is iterated. number: of the loader. turn: how often it was in this epoch.

        A generator that the user has given to a loader or sampler stays as it is.
        """
        order = mix(self.order, epoch, number, turn)
        for sampler in samplers(loader):
            self._seed(sampler, order)
            if hasattr(sampler, "set_epoch"):  # each process has its own share of one order
                sampler.seed = order % 2**31
                sampler.set_epoch(epoch)
        if isinstance(loader, DataLoader):
            self._seed(loader, mix(self.augmentation, epoch, number, turn, self.rank))  # the seed of its workers
        seed_everything(order)  # whatever other samplers draw from

    def _seed(self, owner: Any, seed: int) -> None:
        given = getattr(owner, "generator", _NONE)
        if given is _NONE or not (given is None or self.is_ours(given)):
            return
        if id(owner) not in self._own:
            self._own[id(owner)] = (owner, torch.Generator())
        owner.generator = self._own[id(owner)][1].manual_seed(seed)

    def is_ours(self, generator: Any) -> bool:
        """Whether a generator was made here, so that no checkpoint need hold its state."""
        return any(generator is own for _, own in self._own.values())


_NONE = object()


def samplers(loader: Any) -> Iterator[Any]:
    """The samplers of a DataLoader, and those within them."""
    waiting = [getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)]
    seen: list[Any] = []
    while waiting:
        each = waiting.pop(0)
        if each is None or any(each is other for other in seen):
            continue
        seen.append(each)
        waiting.append(getattr(each, "sampler", None))
    yield from seen


def seed_torch(seed: int) -> None:
    # torch.manual_seed() would also visit every backend that the machine might have, for 3 ms.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)


def seed_everything(seed: int) -> None:
    """The global generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - data sets of others draw from it
    seed_torch(seed)

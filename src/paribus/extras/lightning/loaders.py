"""Training loaders that tell when they are iterated, so that every epoch can start from its own seeds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from paribus.base.torch_internals import forget_workers, gathered

log = logging.getLogger("paribus")


class Reads:
    """What happens when training data are read.

    begin(loader): before a loader is iterated. first(): before the first batch of an epoch is read from it.
    """

    def __init__(self, begin: Callable[[Any], None], first: Callable[[], None]):
        self.begin = begin
        self.first = first


def watched(loaders: Any, reads: Reads) -> Any:
    """The same loaders, alone or in lists and mappings, each of which calls `reads` when it is iterated."""
    if isinstance(loaders, dict):
        return {key: watched(each, reads) for key, each in loaders.items()}
    if isinstance(loaders, list | tuple):  # of loaders; Lightning looks into them itself
        return [watched(each, reads) if _is_loader(each) else each for each in loaders]
    if hasattr(loaders, "flattened"):  # a CombinedLoader
        loaders.flattened = [watched(each, reads) for each in loaders.flattened]
        return loaders
    if isinstance(loaders, DataLoader):
        return _watched_loader(loaders, reads)
    return _Watched(loaders, reads) if hasattr(loaders, "__iter__") else loaders


def _is_loader(each: Any) -> bool:
    return isinstance(each, DataLoader | list | tuple | dict) or (
        hasattr(each, "__iter__") and hasattr(each, "dataset")
    )


def _watched_loader(loader: DataLoader[Any], reads: Reads) -> DataLoader[Any]:
    """Its class becomes a subclass that differs in __iter__: Lightning looks for DataLoaders, and makes others of them
    with samplers for several processes."""
    kind = type(loader)
    if loader.persistent_workers and loader.num_workers > 0:
        log.info(
            "persistent_workers=True: the workers of the training loader start anew in every epoch nevertheless, "
            "since their random numbers could not be restored otherwise"
        )

    def __iter__(self: Any) -> Iterator[Any]:
        forget_workers(self)
        reads.begin(self)
        return _Epoch(gathered(kind.__iter__(self)), reads.first)

    loader.__class__ = type(kind.__name__, (kind,), {"__iter__": __iter__, "__module__": kind.__module__})
    return loader


class _Epoch:
    """An iterator that tells before its first batch."""

    def __init__(self, iterator: Iterator[Any], first: Callable[[], None]):
        self._next = iterator.__next__
        self._first: Callable[[], None] | None = first

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> Any:
        if self._first is not None:
            self._first()
            self._first = None
        return self._next()


class _Watched:
    """Batches that come from something other than a DataLoader: a list, or an iterable of the user's."""

    def __init__(self, batches: Any, reads: Reads):
        self.batches = batches
        self._reads = reads
        if hasattr(batches, "__len__"):
            self.__class__ = _SizedWatched

    def __iter__(self) -> Iterator[Any]:
        self._reads.begin(self.batches)
        return _Epoch(iter(self.batches), self._reads.first)

    def __getattr__(self, name: str) -> Any:
        if name == "batches":  # while it is copied
            raise AttributeError(name)
        return getattr(self.batches, name)


class _SizedWatched(_Watched):
    def __len__(self) -> int:
        return len(self.batches)

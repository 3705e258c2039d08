"""The protocol of a data source: a data set before it is split, and the form of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import Dataset

KindOfX = Literal["image", "vector", "sequence"]
KindOfY = Literal["class", "number", "labels"]  # of the columns of a table
KindOfTarget = Literal["class", "number", "labels", "tokens"]
IGNORED = -100  # where a place of a sequence has no target: torch's ignore_index


class MissingDataError(ValueError):
    """Files of a data set are not where they were looked for; the message says where and how to get them."""


@dataclass
class RawData:
    """All samples in memory. x (N, *shape): numbers of any type, or whole numbers for tokens.

    y: classes (N,) int64; numbers (N,) or (N, T) float; labels (N, K), each 0 or 1; tokens (N, places) int64, one for
        each place of x, IGNORED where a place does not count.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass
class LazyData:
    """Samples that are read one by one: data sets of (x (*shape), y), and all y in memory as for `RawData`."""

    train: Dataset[Any]
    train_y: Tensor
    test: Dataset[Any]
    test_y: Tensor


@runtime_checkable
class Source(Protocol):
    """A data set by name, with the form of its samples, which is known before they are loaded.

    shape: of x without the batch: an image (channels, height, width), a vector (features,), a sequence (places,
        features), or (places,) of tokens.
    kind_of_x: "image", "vector" or "sequence". A source that does not say it has images where its shape has three
        numbers, and vectors where it has one.
    vocabulary_size: of a sequence of tokens, which are whole numbers from 0 to vocabulary_size - 1. None for numbers.
    kind_of_y: "class" (the default), "number", "labels" (any number of K labels at once), or "tokens" (one for each
        place of a sequence of tokens).
    num_classes: K, where y is a class or labels; of tokens vocabulary_size, unless it is said. num_outputs: T, where y
        is one number (the default) or several.
    floor: of tokens, the lowest expected negative log-likelihood of a target, in nats, where it is known.
    feature_names: of vectors, for messages. Not needed.
    """

    name: str

    @property
    def shape(self) -> tuple[int, ...]: ...

    def load(self) -> RawData | LazyData:
        """Raises MissingDataError where files are missing."""
        ...


@dataclass(frozen=True)
class Form:
    """What one sample of a source looks like.

    num_outputs: K classes or labels, T numbers, or K tokens. vocabulary_size: None unless x is a sequence of tokens.
    floor: see `Source`.
    """

    shape: tuple[int, ...]
    kind_of_x: KindOfX
    kind_of_y: KindOfTarget
    num_outputs: int
    vocabulary_size: int | None = None
    floor: float | None = None

    @property
    def num_classes(self) -> int | None:
        """K, where a sample has exactly one class, or each of its places has."""
        return self.num_outputs if self.kind_of_y in ("class", "tokens") else None

    @property
    def has_tokens(self) -> bool:
        return self.vocabulary_size is not None

    @property
    def places(self) -> tuple[int, ...]:
        """The shape of a sample's targets: (places,) of tokens, and () of a class."""
        return self.shape if self.kind_of_y == "tokens" else ()

    @property
    def of_a_place(self) -> Form:
        """What a loss sees, which takes the places of a sequence as so many samples."""
        return replace(self, kind_of_y="class") if self.kind_of_y == "tokens" else self

    def zeros(self, size: int) -> tuple[Tensor, Tensor]:
        """A batch (x, y) of this form, on the default device."""
        x = torch.zeros((size, *self.shape), dtype=torch.long if self.has_tokens else torch.float32)
        if self.kind_of_y in ("class", "tokens"):
            return x, torch.zeros((size, *self.places), dtype=torch.long)
        several = self.kind_of_y == "labels" or self.num_outputs > 1
        return x, torch.zeros((size, self.num_outputs) if several else size)

    def __str__(self) -> str:
        """What its samples are, in the plural."""
        size = f"of shape {self.shape}"
        if self.kind_of_x == "sequence":
            return f"sequences of {'tokens' if self.has_tokens else 'numbers'} {size}"
        return f"{self.kind_of_x}s {size}"


_DIMENSIONS: Mapping[KindOfX, tuple[int, str]] = {
    "image": (3, "(channels, height, width)"),
    "vector": (1, "(features,)"),
    "sequence": (2, "(places, features), or (places,) with a vocabulary_size"),
}


def form_of(source: Any) -> Form:
    """The form that a source says its samples have.

    Raises ValueError for one that contradicts itself or leaves out what can't be told.
    """
    shape = _shape(source)
    tokens = getattr(source, "vocabulary_size", None)
    kind_of_x = getattr(source, "kind_of_x", None)
    if kind_of_x is None:
        known: dict[int, KindOfX] = {3: "image", 1: "vector"}
        if len(shape) not in known:
            raise ValueError(
                f"a source whose shape is not that of an image or a vector says what its x are, and {_name(source)} "
                f"has the shape {shape}. Give it kind_of_x = 'image', 'vector' or 'sequence'"
            )
        kind_of_x = known[len(shape)]
    _one_of(source, "kind_of_x", kind_of_x, get_args(KindOfX))
    if tokens is not None:
        if kind_of_x != "sequence" or len(shape) != 1:
            raise ValueError(
                f"tokens are a sequence of shape (places,), and {_name(source)} has vocabulary_size={tokens} with "
                f"kind_of_x={kind_of_x!r} and shape {shape}. Correct one of them"
            )
        _whole(source, "vocabulary_size", tokens, 1)
    elif len(shape) != _DIMENSIONS[kind_of_x][0]:
        raise ValueError(
            f"the shape of a source with kind_of_x={kind_of_x!r} is {_DIMENSIONS[kind_of_x][1]}, and {_name(source)} "
            f"has {shape}. Correct shape or kind_of_x"
        )
    kind_of_y: KindOfTarget = getattr(source, "kind_of_y", None) or "class"
    _one_of(source, "kind_of_y", kind_of_y, get_args(KindOfTarget))
    outputs: Any
    if kind_of_y == "number":
        outputs = getattr(source, "num_outputs", None)
        outputs = 1 if outputs is None else outputs
        _whole(source, "num_outputs", outputs, 1)
    else:
        if kind_of_y == "tokens" and tokens is None:
            raise ValueError(
                f"targets that are tokens belong to sequences of tokens, and {_name(source)} has kind_of_y='tokens' "
                "without vocabulary_size. Give it one"
            )
        outputs = getattr(source, "num_classes", tokens if kind_of_y == "tokens" else None)
        _whole(source, "num_classes", outputs, 1 if kind_of_y == "labels" else 2)
    vocabulary_size = None if tokens is None else int(tokens)
    return Form(shape, kind_of_x, kind_of_y, int(outputs), vocabulary_size, getattr(source, "floor", None))


def _name(source: Any) -> str:
    return type(source).__name__


def _shape(source: Any) -> tuple[int, ...]:
    shape = getattr(source, "shape", None)
    listed = isinstance(shape, Sequence) and not isinstance(shape, str)
    if not listed or not shape or not all(_is_whole(size) and size >= 1 for size in shape):
        raise ValueError(
            f"a source says the shape of its x as whole numbers of at least 1, such as (3, 32, 32) or (13,), and "
            f"{_name(source)} has shape={shape!r}. Give it one"
        )
    return tuple(int(size) for size in shape)


def _one_of(source: Any, key: str, given: Any, options: tuple[str, ...]) -> None:
    if given not in options:
        raise ValueError(f"{key} must be {', '.join(options[:-1])} or {options[-1]}, and {_name(source)} has {given!r}")


def _whole(source: Any, key: str, given: Any, least: int) -> None:
    if not _is_whole(given) or given < least:
        raise ValueError(
            f"{key} must be a whole number of at least {least}, and {_name(source)} has {given!r}. "
            f"Give it {key}, or another kind_of_y"
            if key == "num_classes"
            else f"{key} must be a whole number of at least {least}, and {_name(source)} has {given!r}. Correct it"
        )


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def find_file(folders: list[Path], names: list[str]) -> Path | None:
    """The first of the names in the first of the folders that has one."""
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None

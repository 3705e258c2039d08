"""The test part of a user's own data: a file of its own, or a share of the rows. No sample is in both parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from paribus.datasets.columns import Array
from paribus.datasets.stratify import randomly, stratified

Duplicates = Literal["error", "keep", "drop"]


def row_keys(*arrays: Array) -> list[bytes]:
    """A hash of each row over arrays (N, ...): equal rows have equal keys."""
    flat = [np.ascontiguousarray(array.reshape(len(array), -1)) for array in arrays]
    keys = []
    for number in range(len(arrays[0])):
        digest = hashlib.blake2b(digest_size=16)
        for array in flat:
            digest.update(array[number].tobytes())
        keys.append(digest.digest())
    return keys


def share(keys: Sequence[bytes], classes: Tensor | None, size: float, seed: int) -> tuple[Array, Array]:
    """(training rows, test rows): the test part is a share `size` of the distinct samples, drawn by a fixed seed.

    The copies of a sample stay in one part, so that nothing of the test part is trained on. classes (N,): the test part
    keeps their shares.

    Raises ValueError for a share that leaves a part empty.
    """
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(key, row) for row, key in enumerate(keys)])
    distinct = np.array(sorted(first.values()))
    number = round(size * len(distinct))
    if not 0 < number < len(distinct):
        raise ValueError(
            f"data.source.test_share must leave samples for both parts, and {size:g} of {len(distinct)} distinct "
            f"samples are {number}. Choose another share"
        )
    if classes is None:
        _, chosen = randomly(len(distinct), number, seed)
    else:
        _, chosen = stratified(classes[torch.from_numpy(distinct)], number, seed)
    in_test = np.zeros(len(keys), dtype=bool)
    in_test[distinct[chosen.numpy()]] = True
    in_test = in_test[original]
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def without_copies(
    train: Sequence[bytes],
    test: Sequence[bytes],
    duplicates: Duplicates,
    train_place: Callable[[int], str],
    test_place: Callable[[int], str],
) -> Array:
    """The training rows to train on, where the test part has been given. duplicates: what to do with test rows that are
    also training rows: refuse them, keep them, or drop them from the training part.

    Raises ValueError that names the first one, and where dropping leaves nothing.
    """
    rows = np.arange(len(train))
    if duplicates == "keep":
        return rows
    known = {key: row for row, key in reversed(list(enumerate(test)))}
    leaked = [row for row, key in enumerate(train) if key in known]
    if not leaked:
        return rows
    if duplicates == "error":
        number = len({train[row] for row in leaked})
        raise ValueError(
            f"no test sample is trained on, and {number} of the test part are also in the training part, e.g. "
            f"{test_place(known[train[leaked[0]]])} is {train_place(leaked[0])}. Use data.source.duplicates=drop, "
            "which takes them out of the training part, or keep if they are different samples that happen to be equal"
        )
    kept = np.setdiff1d(rows, leaked)
    if not len(kept):
        raise ValueError("every training sample is also in the test part. Give another test part")
    return kept

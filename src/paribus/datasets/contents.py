"""The contents of a source, checked against the form that it says its samples have, before anything is split."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paribus.datasets.source import IGNORED, Form, LazyData, RawData

_ROUNDING = 2.0**-24  # relative, of float32


def checked(source: Any, form: Form, raw: Any) -> RawData | LazyData:
    """The samples with y as training takes them: classes int64 (N,), numbers float32 (N,) or (N, T), labels float32.

    Raises ValueError, which names the part and the place, for what contradicts the form and for numbers that are not
    finite.
    """
    lazy = hasattr(raw, "train")
    parts = {"training": ("train" if lazy else "train_x", "train_y"), "test": ("test" if lazy else "test_x", "test_y")}
    found: dict[str, Any] = {}
    for part, names in parts.items():
        if missing := [name for name in names if not hasattr(raw, name)]:
            raise ValueError(
                f"load() of a source returns RawData or LazyData, and {type(source).__name__} returned "
                f"{type(raw).__name__} without {missing[0]}. Return paribus.datasets.source.RawData"
            )
        x, y = getattr(raw, names[0]), _target(source, form, part, _tensor(f"the y of the {part} part", raw, names[1]))
        if not lazy:
            x = _tensor(f"the x of the {part} part", raw, names[0])
            _check_x(source, form, part, x)
        if len(x) != len(y):
            raise ValueError(f"every sample has a target, and the {part} part has {len(x)} samples and {len(y)} of y")
        if len(y) == 0:
            raise ValueError(f"the {part} part of the data is empty. Give it at least one sample")
        found |= {names[0]: x, names[1]: y}
    return LazyData(**found) if lazy else RawData(**found)


def checked_sample(form: Form, index: int, given: Any) -> Tensor:
    """One x that was read by itself. Raises ValueError for another shape, and for numbers that are not finite."""
    x: Tensor = torch.as_tensor(given)
    if tuple(x.shape) != form.shape:
        raise ValueError(
            f"sample {index} has the shape {tuple(x.shape)}, and the source says {form.shape}. Correct its shape"
        )
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ValueError(f"x must be finite, and sample {index} holds nan or an infinite value. Leave it out")
    if form.vocabulary_size is not None:
        _check_range(f"the tokens of sample {index}", x, form.vocabulary_size, "vocabulary_size")
    return x


def _tensor(what: str, raw: Any, name: str) -> Tensor:
    """Arrays and lists too."""
    try:
        return torch.as_tensor(getattr(raw, name))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{what} can't be made a tensor ({error}). Return tensors of numbers") from None


def _check_x(source: Any, form: Form, part: str, x: Tensor) -> None:
    if tuple(x.shape[1:]) != form.shape:
        raise ValueError(
            f"the samples of the {part} part have the shape {tuple(x.shape[1:])}, and the source says {form.shape}. "
            "Correct its shape"
        )
    whole = not x.is_floating_point() and x.dtype != torch.bool
    if form.vocabulary_size is not None:
        if not whole:
            raise ValueError(f"tokens are whole numbers, and the x of the {part} part are {x.dtype}. Convert them")
        _check_range(f"the tokens of the {part} part", x, form.vocabulary_size, "vocabulary_size")
    elif form.kind_of_x == "vector" and getattr(source, "kind_of_x", None) is None and whole and x.dtype != torch.uint8:
        raise ValueError(
            f"the x of the {part} part are whole numbers ({x.dtype}). Give the source kind_of_x='vector' if they are "
            "quantities, or kind_of_x='sequence' and a vocabulary_size if they are tokens"
        )
    elif x.is_floating_point() and not bool(x.sum().isfinite()):  # a sum may overflow, though all is finite
        wrong = (~x.isfinite()).nonzero()
        if len(wrong):
            row, *place = wrong[0].tolist()
            names = getattr(source, "feature_names", None)
            where = f"place {tuple(place)}" if names is None else f"{names[place[-1]]!r}"
            raise ValueError(
                f"x must be finite, and in the {part} part {where} of sample {row} is {float(x[tuple(wrong[0])])} "
                f"({len(wrong)} such values in all). Correct these values or leave them out"
            )


def _check_range(what: str, values: Tensor, size: int, key: str) -> None:
    """Raises ValueError unless all values lie in 0 ... size - 1."""
    if not values.numel():
        return
    least, most = (int(value) for value in values.aminmax())
    if least < 0 or most >= size:
        raise ValueError(
            f"{what} are numbers from 0 to {key} - 1 = {size - 1}, and there are some from {least} to {most}. "
            f"Correct {key} or the numbers"
        )


def _target(source: Any, form: Form, part: str, y: Tensor) -> Tensor:
    what = f"the y of the {part} part"
    if form.kind_of_y == "class":
        if y.ndim != 1 or y.is_floating_point() or y.is_complex():
            said = "" if getattr(source, "kind_of_y", None) else ", which is what a source has that says nothing else"
            raise ValueError(
                f"classes are whole numbers (N,){said}, and {what} are {y.dtype} of shape {tuple(y.shape)}. Give the "
                "source kind_of_y='number' (and num_outputs) or kind_of_y='labels' (and num_classes), or correct y"
            )
        y = y.long()
        _check_range(what, y, form.num_outputs, "num_classes")
        return y
    if form.kind_of_y == "tokens":
        if tuple(y.shape[1:]) != form.shape or y.is_floating_point() or y.is_complex():
            raise ValueError(
                f"targets that are tokens are whole numbers, one for each of the places {form.shape}, and {what} are "
                f"{y.dtype} of shape {tuple(y.shape)}. Give a place without a target {IGNORED}"
            )
        counted = (y != IGNORED).any(1)
        if not bool(counted.all()):
            raise ValueError(
                f"every sample has a target in one place at least, and sample {int((~counted).nonzero()[0])} of the "
                f"{part} part has none. Leave it out"
            )
        _check_range(what, y[y != IGNORED], form.num_outputs, "num_classes")
        return y.long()
    if form.num_outputs == 1 and y.ndim == 2 and y.shape[1] == 1 and form.kind_of_y == "number":
        y = y[:, 0]
    several = form.kind_of_y == "labels" or form.num_outputs > 1
    if y.is_complex() or tuple(y.shape[1:]) != ((form.num_outputs,) if several else ()):
        key = "num_classes" if form.kind_of_y == "labels" else "num_outputs"
        shape = f"(N, {form.num_outputs})" if several else "(N,)"
        raise ValueError(f"{what} must have the shape {shape}, got {tuple(y.shape)} of {y.dtype}. Correct y or {key}")
    if form.kind_of_y == "labels":
        if not bool(((y == 0) | (y == 1)).all()):
            raise ValueError(f"labels are 0 or 1, and {what} hold other values, e.g. {_other(y)}. Correct them")
        return y.float()
    if len(wrong := (~y.isfinite()).nonzero()):
        row = int(wrong[0, 0])
        raise ValueError(
            f"targets must be finite, and that of sample {row} of the {part} part is {y[row].tolist()} "
            f"({len(wrong)} such values in all). Leave these samples out"
        )
    exact, rounded = y.double(), y.float()
    if len(y) > 1 and bool((exact.abs().amax(0) * _ROUNDING > 1e-3 * _spread(exact)).any()):
        raise ValueError(
            f"{what} vary too little beside their size for single precision: from {exact.amin().item():.12g} to "
            f"{exact.amax().item():.12g}. Subtract a constant from them"
        )
    return rounded


def _spread(y: Tensor) -> Tensor:
    """Standard deviation of each target; infinite for one that is constant, which loses nothing by rounding."""
    spread = y.std(0, correction=0)
    return torch.where(y.amax(0) == y.amin(0), torch.full_like(spread, torch.inf), spread)


def _other(y: Tensor) -> float:
    return float(y[(y != 0) & (y != 1)][0])

"""Checkpoints of a module: what Lightning writes, made such that it loads with weights_only=True."""

from __future__ import annotations

import collections
import enum
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from paribus.base.errors import UserError

_LEAVES = (bool, int, float, complex, str, bytes, type(None))
_TORCH = (torch.dtype, torch.device, torch.Size)
_HYPER = ("hyper_parameters", "datamodule_hyper_parameters")
_HYPER_ALSO = ("hparams_name", "hparams_type", "datamodule_hparams_name", "datamodule_hparams_type")


def made_loadable(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint as it is written.

    Of the hyperparameters of a module (save_hyperparameters) those that are no plain values are left out: a network or
    an optimizer among them would be pickled, and the configuration of the run says how to make them.

    Raises UserError that names anything else that torch.load(weights_only=True) refuses.
    """
    kept = dict(checkpoint)
    for name in _HYPER:
        if name in kept:
            kept[name] = {key: value for key, value in dict(kept[name]).items() if refused(value) is None}
    for name in _HYPER_ALSO:
        if name in kept and not isinstance(kept[name], str):
            del kept[name]
    if (found := refused(kept)) is not None:
        place, value = found
        raise UserError(
            f"a checkpoint must load with torch.load(weights_only=True), and this one holds {place}, of class "
            f"{type(value).__module__}.{type(value).__qualname__}. In state_dict or on_save_checkpoint of the module, "
            "data module or callback that puts it there, write tensors, numbers, texts, lists and mappings"
        )
    return kept


def refused(value: Any, place: str = "") -> tuple[str, Any] | None:
    """(where, what) of the first value that is neither a tensor nor plain; None where there is none."""
    kind = type(value)
    if kind in _LEAVES or kind in _TORCH:
        return None
    if isinstance(value, Tensor):
        return None if kind in (Tensor, nn.Parameter) else (place, value)
    if kind in (dict, collections.OrderedDict, collections.defaultdict, collections.Counter):
        for key, each in value.items():
            if (found := refused(key, f"{place} (a key)")) or (found := refused(each, f"{place}[{key!r}]")):
                return found
        return None
    if kind in (list, tuple, set):
        for number, each in enumerate(value):
            if found := refused(each, f"{place}[{number}]"):
                return found
        return None
    if isinstance(value, enum.Enum):
        return place, value
    return place, value


def writer(base: Any, folder: str) -> Any:
    """Lightning's plugin that writes checkpoints. base: TorchCheckpointIO of the module's package.

    Only those in the folder of the run are changed: a callback of the user's writes what it wants elsewhere.
    """

    def save_checkpoint(self: Any, checkpoint: Mapping[str, Any], path: Any, storage_options: Any = None) -> None:
        if str(path).startswith(folder):
            checkpoint = made_loadable(dict(checkpoint))
        base.save_checkpoint(self, checkpoint, path, storage_options)

    return type("Writer", (base,), {"save_checkpoint": save_checkpoint})()

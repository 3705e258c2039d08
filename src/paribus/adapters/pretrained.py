"""Initial weights from a file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from paribus.base import archive
from paribus.base.errors import UserError
from paribus.base.text import near
from paribus.config.parts import Init, digest


def load_initial(network: nn.Module, init: Init) -> None:
    """Give a network its initial weights, in place.

    The file holds a state dict, alone or as `state_dict` of a checkpoint; a prefix that all of its names share and
    those of the network do not is left out. Names and shapes must be those of the network, or of the parameters that
    `init.parameters` chooses.

    Raises UserError for a file that is not what its hash says, or that does not fit.
    """
    if init.weights is None:
        return
    if init.sha256 is not None and digest(init.weights) != init.sha256:
        raise UserError(
            f"init.weights={init.weights} must be the file that the run was configured with, and its content is "
            "another one. Restore it, or leave init.sha256 out for a run with the new weights"
        )
    own = network.state_dict()
    found = _unprefixed(read_weights(Path(init.weights)), own)
    if init.parameters is None:
        chosen = list(own)
        if more := [name for name in found if name not in own]:
            raise UserError(
                f"init.weights={init.weights} has {_some(more)}, which the network does not have. {_REMEDY}"
            )
    else:
        chosen = []
        for pattern in init.parameters:
            if not (fitting := [name for name in own if fnmatchcase(name, pattern)]):
                raise UserError(
                    f"init.parameters: {pattern} fits no parameter of the network.{near(pattern, own)} They are "
                    f"{_some(list(own))}"
                )
            chosen += fitting
    if missing := [name for name in chosen if name not in found]:
        raise UserError(f"init.weights={init.weights} lacks {_some(missing)} of the network. {_REMEDY}")
    for name in chosen:
        if found[name].shape != own[name].shape:
            raise UserError(
                f"init.weights={init.weights}: {name} has the shape {tuple(found[name].shape)}, and that of the "
                f"network {tuple(own[name].shape)}. {_REMEDY}"
            )
    with torch.no_grad():
        for name in chosen:
            own[name].copy_(found[name])


_REMEDY = "Choose what to take with init.parameters=[PATTERN,...]"


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file of torch.save, or of safetensors. Raises UserError for a file that holds none."""
    content: Any
    try:
        if path.suffix == ".safetensors":
            content = importlib.import_module("safetensors.torch").load_file(path)
        else:
            content = archive.read(path)
    except ModuleNotFoundError as error:
        raise UserError(f"init.weights={path} needs the package safetensors: pip install safetensors") from error
    except Exception as error:  # zip, pickle and key errors: the file is damaged, or holds more than plain values
        raise UserError(
            f"init.weights={path} must be a state dict of plain tensors, and it can't be read ({type(error).__name__}: "
            f"{error}). Write one with torch.save(network.state_dict(), PATH)"
        ) from error
    for key in ("evaluation_weights", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(
            f"init.weights={path} must hold a state dict, names and tensors, got {type(content).__name__}. Write one "
            "with torch.save(network.state_dict(), PATH)"
        )
    return content


def _unprefixed(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Without `network.` and the like before every name, unless the network has it too."""
    first = next(iter(found)).partition(".")[0] + "."
    if not all(name.startswith(first) for name in found) or any(name.startswith(first) for name in own):
        return found
    return {name.removeprefix(first): value for name, value in found.items()}


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} others" if len(names) > 4 else "")

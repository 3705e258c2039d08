"""The sections about parts of a network: initial weights from a file, frozen parameters, options of groups.

Parts are named by patterns of parameter names, as in `backbone.*` or `*.bias` (the rules of file names; case counts).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from paribus.base.errors import UserError
from paribus.base.typed import typed
from paribus.config.schema import Positive, shortened


@dataclass(frozen=True)
class Init:
    """The initial weights.

    weights: a file with a state dict, or a checkpoint. parameters: patterns of the names that are taken from it; null
    for all of them, which must be those of the network. sha256: of the file; written into the configuration of a
    record, and what counts for its identity. scale: what the weight matrices and kernels that the model
    draws are multiplied by: the parameters that weight decay acts on. Biases, norms and embeddings stay.
    """

    EXAMPLE: ClassVar[str] = "init.scale=0.5"
    weights: str | None = None
    parameters: tuple[str, ...] | None = None
    scale: Positive = 1.0
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.scale != 1.0:
            raise UserError(
                f"init.scale is for weights that the model draws, and init.weights={self.weights} gives them, "
                f"got init.scale={self.scale}. Leave one of the two out"
            )


@dataclass(frozen=True)
class Freeze:
    """Parameters that are not trained. until: pattern -> the epoch, counted from 0, with which their training begins;
    None for never."""

    until: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def for_a_while(self) -> bool:
        """Whether the training of some parameters begins later."""
        return any(epoch is not None for epoch in self.until.values())

    @staticmethod
    def read(given: Any, where: str = "freeze") -> Freeze:
        """The section that a list of patterns, or a mapping from patterns to epochs, describes."""
        if given is None or (isinstance(given, list | tuple) and all(isinstance(each, str) for each in given)):
            given = dict.fromkeys(given or ())
        if not isinstance(given, Mapping) or not all(isinstance(pattern, str) and pattern for pattern in given):
            raise UserError(
                f"{where} must be a list of patterns of parameter names, or hold the epoch until which each is frozen, "
                f"got {shortened(given)}. Try {typed(where, '[backbone.*]')}"
            )
        for pattern, epoch in given.items():
            whole = isinstance(epoch, int) and not isinstance(epoch, bool)
            if epoch is not None and not (whole and epoch >= 1):
                raise UserError(
                    f"{where} of {pattern} must be the number of epochs in which it is frozen, at least 1, or null for "
                    f"all of them, got {shortened(epoch)}. Try {typed([*where.split('.'), pattern], '3', '+')}"
                )
        return Freeze(dict(given))


@dataclass(frozen=True)
class Groups:
    """Options of the optimizer for some parameters. options: pattern -> options; the first pattern that fits counts."""

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read(given: Any, where: str = "groups") -> Groups:
        """The section that a mapping from patterns to options describes."""
        given = {} if given is None else given
        example = f"Try {typed([*where.split('.'), '*.bias', 'weight_decay'], '0')}"
        if not isinstance(given, Mapping) or not all(isinstance(pattern, str) and pattern for pattern in given):
            raise UserError(
                f"{where} must hold options by patterns of parameter names, got {shortened(given)}. {example}"
            )
        for pattern, options in given.items():
            if not isinstance(options, Mapping) or not options:
                raise UserError(
                    f"{where} of {pattern} must hold options of the optimizer, got {shortened(options)}. {example}"
                )
        return Groups({pattern: dict(options) for pattern, options in given.items()})


def digest(path: str) -> str:
    """The SHA-256 of a file. Raises UserError where there is none."""
    try:
        found = Path(path).stat()
        return _digest(str(Path(path).resolve()), found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"init.weights must be a file of weights, and {path} can't be read ({error.strerror}). Write its path, "
            "relative to the current folder or absolute"
        ) from error


@functools.lru_cache
def _digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _by_blocks(file)


def _by_blocks(file: Any) -> str:
    """Of Python 3.10."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def init_meaning(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What counts of the section init: the content of the file, wherever it lies, or another scale than 1; None where
    there is neither."""
    section = config.get("init") or {}
    if not (path := section.get("weights")):
        scale = section.get("scale", 1.0)
        return None if scale == 1.0 else {"scale": scale}
    if not isinstance(path, str):  # it will be refused
        return dict(section)
    return {"weights": section.get("sha256") or digest(path), "parameters": section.get("parameters")}


def freeze_meaning(config: Mapping[str, Any]) -> list[Any]:
    """What counts of the section freeze, in one form; the order too, since the first pattern that fits decides."""
    given = config.get("freeze") or {}
    if isinstance(given, Mapping):
        return [[pattern, epoch] for pattern, epoch in given.items()]
    return [[pattern, None] for pattern in given] if isinstance(given, list | tuple) else [given]  # it will be refused


def groups_meaning(config: Mapping[str, Any]) -> list[Any]:
    """What counts of the section groups; the order too, since the first pattern that fits decides."""
    given = config.get("groups") or {}
    return [[pattern, own] for pattern, own in given.items()] if isinstance(given, Mapping) else [given]


def with_digest(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration as a record keeps it: with the hash of the file of weights."""
    section = config.get("init") or {}
    path = section.get("weights")
    if not isinstance(path, str) or section.get("sha256"):
        return config
    return {**config, "init": {**section, "sha256": digest(path)}}

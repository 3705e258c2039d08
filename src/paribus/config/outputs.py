"""The folder of records that a command reads: the one that a training with the same overrides writes to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.config.composer import Composer

_SHIPPED = "outputs: ${oc.env:PARIBUS_OUTPUTS,outputs}"


def outputs_folder(overrides: Sequence[str] = (), composer: Composer | None = None) -> Path:
    """paths.outputs of the configuration that these overrides make, those of conf/local and of files included.

    composer: the caller's, which remembers what it composed.
    """
    if not overrides and _nobody_has_a_say():  # Hydra need not be imported
        return Path(os.environ.get("PARIBUS_OUTPUTS", "outputs"))
    from paribus.config.compose import parse_overrides, user_errors
    from paribus.config.composer import Composer

    with user_errors():
        single = [each.input_line for each in parse_overrides(overrides) if not each.is_sweep_override()]
    folder = (composer or Composer())(single).outputs
    if not isinstance(folder, str) or not folder.strip():
        raise UserError(f"paths.outputs must be a folder, got {folder!r}")
    return Path(folder)


def store_of(outputs: str | None) -> Store:
    """The records that --outputs names, or else those of every other command."""
    if outputs is not None and not Path(outputs).is_dir():
        raise UserError(f"--outputs must be a folder that holds records, got {outputs!r}, which is none")
    return Store(Path(outputs) if outputs is not None else outputs_folder())


def _nobody_has_a_say() -> bool:
    """Whether the outputs folder is as it ships: no folder conf here, no local options, the shipped line unchanged."""
    root, here = config_dir(), Path("conf")
    try:
        shipped = (root / "paths" / "default.yaml").read_text(encoding="utf-8")
        return (
            _SHIPPED in shipped.splitlines()
            and not (root / "local" / "default.yaml").exists()
            and (not here.is_dir() or here.samefile(root))
        )
    except (OSError, UnicodeDecodeError):
        return False

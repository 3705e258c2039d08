"""The defaults of a user's project, ./conf/train.yaml: what `paribus train` starts from in that folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from paribus.base.errors import UserError
from paribus.config import config_dir


def own_defaults() -> tuple[Path, DictConfig] | None:
    """The file and its content; None where the current folder has none, or a copy of ours, as a checkout of Paribus.

    The file changes the defaults of Paribus. It chooses options (`override /task: mine`) and sets values.

    Raises UserError for one that adds groups instead, as the first file of another program does.
    """
    path = Path.cwd() / "conf" / "train.yaml"
    if not path.is_file() or path.read_bytes() == (config_dir() / "train.yaml").read_bytes():
        return None
    content = OmegaConf.create(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, DictConfig):
        raise UserError(f"{path} must map keys to values, got {type(content).__name__}. Correct the file")
    for entry in content.get("defaults") or ():
        if entry != "_self_" and not _is_override(entry):
            raise UserError(
                f"{path} changes the defaults of Paribus, so each entry of its defaults list is an override, as in "
                f"`- override /task: mine`, got `- {_shown(entry)}`. If the file belongs to another program, rename "
                "it, or run Paribus in another folder"
            )
    return path, content


def _is_override(entry: Any) -> bool:
    return isinstance(entry, DictConfig) and all(str(key).startswith("override ") for key in entry)


def _shown(entry: Any) -> str:
    return (
        ", ".join(f"{key!s}: {value}" for key, value in entry.items()) if isinstance(entry, DictConfig) else str(entry)
    )

"""The option files that a command line names, and the overrides that choose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import search_path
from paribus.config.composer import Composer

# Groups whose options describe no training, and what looks at them.
_NO_TRAINING = {
    "hydra": "Hydra reads it when a command starts",
    "hparams_search": "paribus train -m hparams_search=NAME reads it",
    "local": "it is part of every command already",
    "paths": "it says where files lie",
    "surface": "paribus surface draws it",
}
_LISTS = {"norm": "norm=[{}]", "metrics": "metrics=[{}]", "callbacks": "callbacks=[default,{}]"}


@dataclass(frozen=True)
class Option:
    """An option of a config group. override: what chooses it."""

    group: str
    name: str
    path: Path
    override: str

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


def options(words: Sequence[str], composer: Composer) -> list[Option]:
    """The options of files and folders, in order; those of ./conf where none is named.

    Raises UserError for a file that is no option, and where there is none.
    """
    if not words and Path("conf").resolve() == config_dir().resolve():
        raise UserError("conf holds the options of Paribus itself here. Name those of yours: paribus check FILE ...")
    paths = [Path(word) for word in words] or [Path("conf")]
    found = []
    for path in paths:
        if not path.exists():
            raise UserError(f"check takes option files and folders of them, and {path} does not exist. Name another")
        folder = path.is_dir()
        for file in sorted(path.rglob("*.yaml")) if folder else [path]:
            option = _option(file, composer)
            if isinstance(option, Option):
                found.append(option)
            elif not folder:
                raise UserError(f"{file} can't be checked: {option}")
    if not found:
        raise UserError(
            f"there is no option file in {', '.join(map(str, paths))}. An option of the group model is a file such as "
            "conf/model/mine.yaml"
        )
    return list(dict.fromkeys(found))


def _option(path: Path, composer: Composer) -> Option | str:
    """The option of a file; why it is none."""
    root = next((root for root in reversed(search_path()) if path.resolve().is_relative_to(root.resolve())), None)
    if root is None:
        return "options lie in the folder conf of the current folder. Move it there, or go to its project"
    group, *rest = path.resolve().relative_to(root.resolve()).with_suffix("").parts
    if not rest or path.suffix != ".yaml":
        return "an option is a YAML file in the folder of its group, such as conf/model/mine.yaml. Move it there"
    if group in _NO_TRAINING:
        return f"an option of {group} describes no training: {_NO_TRAINING[group]}. Leave it out"
    name = "/".join(rest)
    known = group in composer([]).choices
    override = "+" * (not known) + _LISTS.get(group, f"{group}={{}}").format(name)
    return Option(group, name, path, override)

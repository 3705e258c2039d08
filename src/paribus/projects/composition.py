"""The configuration of a project, composed by Hydra as its own training script does, with its interpolations."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from paribus.base.errors import UserError
from paribus.base.plain_yaml import LOADER
from paribus.config.compose import is_complaint

Tree = dict[str, Any]


@dataclass(frozen=True)
class Composed:
    """tree: as it is written, without Hydra's own node. choices: the option of each group."""

    tree: Tree
    choices: Mapping[str, Any]


class Configuration:
    """The config tree of a project. file: the first file of it."""

    def __init__(self, file: Path, stand_ins: Path):
        self._file = file
        self._stand_ins = stand_ins  # options of Hydra's plugins that are not installed: they only colour a log
        hydra = (yaml.load(file.read_text(encoding="utf-8-sig"), LOADER) or {}).get("hydra")
        own = hydra.get("searchpath") if isinstance(hydra, Mapping) else None
        self._places = [str(place) for place in own or ()]

    def compose(self, overrides: Sequence[str] = ()) -> Composed:
        """Raises UserError where Hydra can't."""
        places = ",".join(f"'{place}'" for place in (*self._places, f"file://{self._stand_ins}"))
        line = [*overrides, f"hydra.searchpath=[{places}]"]
        for _ in range(10):
            try:
                whole = compose(self._file.stem, overrides=line, return_hydra_config=True)
            except MissingConfigException as error:
                if not self._stands_in(error.missing_cfg_file):
                    raise self._cannot(overrides, error) from error
            except Exception as error:
                if not is_complaint(error):
                    raise
                raise self._cannot(overrides, error) from error
            else:
                plain = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
                choices = _plain(whole.hydra.runtime.choices).items()
                return Composed(_plain(plain), {group: _without_suffix(option) for group, option in choices})
        raise UserError(f"{self._file} can't be composed: it asks for options of Hydra that are not there")

    def options(self, group: str) -> list[str]:
        loader: Any = GlobalHydra.instance().config_loader()
        return sorted(loader.get_group_options(group))

    def _stands_in(self, missing: Any) -> bool:
        """Makes an empty option where one of Hydra's own groups lacks it, as hydra/job_logging/colorlog."""
        if not isinstance(missing, str) or not missing.startswith("hydra/"):
            return False
        path = self._stand_ins / f"{missing.removesuffix('.yaml')}.yaml"
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
        return True

    def _cannot(self, overrides: Sequence[str], error: Exception) -> UserError:
        said = re.split(r"\s*Config search path", " ".join(str(error).split()))[0][:300]
        return UserError(f"{self._file} can't be composed with {' '.join(overrides) or 'its defaults'}: {said}")


@contextmanager
def inside(root: Path) -> Iterator[None]:
    """In the folder of a project, whose place is in the variable PROJECT_ROOT, as its own script has it."""
    here, before = Path.cwd(), os.environ.get("PROJECT_ROOT")
    os.chdir(root)
    os.environ["PROJECT_ROOT"] = str(root)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.pop("PROJECT_ROOT")
        if before is not None:
            os.environ["PROJECT_ROOT"] = before


@contextmanager
def configuration(file: Path, root: Path) -> Iterator[Configuration]:
    """The config tree of which `file` is the first file, in the folder of its project."""
    with (
        inside(root),
        tempfile.TemporaryDirectory() as folder,
        initialize_config_dir(config_dir=str(file.parent), version_base="1.3", job_name="train"),
    ):
        yield Configuration(file, Path(folder))


def _without_suffix(option: Any) -> Any:
    return option.removesuffix(".yaml") if isinstance(option, str) else option


def _plain(node: DictConfig) -> Tree:
    found = OmegaConf.to_container(node, resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def at(tree: Any, path: Sequence[str]) -> Any:
    """The value at a path. Raises KeyError where there is none."""
    for part in path:
        if isinstance(tree, Mapping) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            raise KeyError(".".join(path))
    return tree

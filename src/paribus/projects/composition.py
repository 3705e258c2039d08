"""The configuration of a project, composed by Hydra as its own training script does, with its interpolations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paribus.base.errors import UserError

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

    def compose(self, overrides: Sequence[str] = ()) -> Composed:
        """Raises UserError where Hydra can't."""
        line = [*overrides, f"hydra.searchpath=[file://{self._stand_ins}]"]
        for _ in range(10):
            try:
                whole = compose(self._file.stem, overrides=line, return_hydra_config=True)
            except MissingConfigException as error:
                if not self._stands_in(error.missing_cfg_file):
                    raise self._cannot(overrides, error) from error
            except (HydraException, OmegaConfBaseException) as error:
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
        said = " ".join(str(error).split())[:500]
        return UserError(f"{self._file} can't be composed with {' '.join(overrides) or 'its defaults'}: {said}")


@contextmanager
def configuration(file: Path) -> Iterator[Configuration]:
    """The config tree of which `file` is the first file."""
    with (
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

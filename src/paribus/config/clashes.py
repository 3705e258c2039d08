"""Options of one name in two files, of which Hydra would read the first, and say nothing about the second.

Hydra asks for each file that a command line chooses, so every command meets the rule, and no folder is listed for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.plugins.config_source import ConfigSource

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.ablations import shipped

_OPTIONS = ("file", "pkg", "paribus")  # the schemes of places that hold options; others hold schemas and defaults


def check_name(places: Sequence[ConfigSource], config_path: str) -> None:
    """Raises UserError where several places of Hydra's search path have an option: model/cnn, say.

    Two things are meant to stand for others: train.yaml of a user, which changes ours and is no option, and an ablation
    with a short name of ours, where it is found before. Copies of one file, as a checkout of Paribus has them beside an
    installed one, say the same.

    Applications of Hydra that know no options of Paribus stay as they are.
    """
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    having = [place for place in places if place.scheme() in _OPTIONS and place.is_config(config_path)] if group else []
    if len(having) < 2 or not any(_folder(place) == config_dir().resolve() for place in places):
        return
    files = [_file(place, group, name) for place in having if place.scheme() != "paribus" or place is having[0]]
    if len(set(files)) > 1 and not _are_copies(files):
        first, second, *_ = dict.fromkeys(files)
        ours = str(config_dir().resolve())
        yours = next((file for file in files if not file.startswith((ours, "pkg://"))), second)
        raise UserError(
            f"the option {group}/{name} must be one file, and there are {first} and {second}. Hydra would take the "
            f"first and hide the other. Give {yours} another name"
        )


def _are_copies(files: Sequence[str]) -> bool:
    if any(file.startswith("pkg://") for file in files):
        return False
    return len({Path(file).read_bytes() for file in files}) == 1


def _folder(place: ConfigSource) -> Path | None:
    return Path(place.path).resolve() if place.scheme() == "file" else None


def _file(place: ConfigSource, group: str, name: str) -> str:
    """The file of an option as messages name it."""
    if place.scheme() == "paribus":
        return str(shipped()[name].resolve())
    folder = _folder(place)
    if folder is None:
        return f"pkg://{place.path.replace('.', '/')}/{group}/{name}.yaml"
    return str((folder / group / f"{name}.yaml").resolve())

"""The files of ablations: the one that a name means, and the names of all."""

from __future__ import annotations

from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from paribus.config.ablations import shipped
from paribus.config.compose import hydra_context


def file_of(name: str) -> Path | None:
    """The file that `ablation=NAME` means: a user's own comes before a short name of those that come with Paribus."""
    own = (path for root in _roots() if (path := root / f"{name}.yaml").is_file())
    return next(own, shipped().get(name))


def place_of(name: str) -> str:
    """The file as messages name it: conf/ablation/mine.yaml."""
    path = file_of(name)
    root = next((root for root in _roots() if path is not None and path.is_relative_to(root)), None)
    return f"conf/ablation/{name}.yaml" if path is None or root is None else str(path.relative_to(root.parents[1]))


def all_names() -> list[str]:
    """A name for each file, in order; with its folder where it lies in one: mine, examples/demo, notes/norms."""
    files = [(root, path) for root in _roots() for path in root.rglob("*.yaml")]
    return sorted({path.relative_to(root).with_suffix("").as_posix() for root, path in files})


def _roots() -> list[Path]:
    """The folders ablation/ of Hydra's search path, in its order."""
    with hydra_context():
        sources = GlobalHydra.instance().config_loader().get_sources()
    places = dict.fromkeys(Path(source.path).resolve() for source in sources if source.scheme() == "file")
    return [root for place in places if (root := place / "ablation").is_dir()]

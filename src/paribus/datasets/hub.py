"""Data sets of the Hugging Face hub, or folders of such, through the `datasets` package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from paribus.datasets.source import MissingDataError


def parts_of(path: str, train_split: str, test_split: str) -> tuple[Any, Any]:
    """The two parts of a data set. Raises MissingDataError where the package, the data or a part is missing."""
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDataError("data of Hugging Face need the extra: pip install 'paribus[data]'") from error
    try:
        if (Path(path) / "dataset_dict.json").is_file():
            parts = datasets.load_from_disk(path)
        else:
            parts = datasets.load_dataset(path)
    except Exception as error:  # the package raises a dozen kinds: offline, unknown name, no access
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise MissingDataError(
            f"The data set {path!r} can't be loaded{offline}: {type(error).__name__}: {error}. Give a folder or "
            "a name of the hub as data.source.path"
        ) from error
    for split in (train_split, test_split):
        if split not in parts:
            raise MissingDataError(
                f"{path} has no split {split!r}, it has {', '.join(parts)}. Set data.source.train_split, test_split"
            )
    return parts[train_split], parts[test_split]

"""Any image data set of the Hugging Face hub, or a local folder of one, through the `datasets` package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.folder import to_tensor
from paribus.datasets.source import LazyData, MissingDataError


class HuggingFace:
    """Reads `path` with datasets.load_dataset (or load_from_disk for a folder that was saved with save_to_disk).

    path: a name on the hub such as "uoft-cs/cifar10", or a folder.
    image, label: names of the columns; found by their types where null.
    image_size: images are resized to image_size x image_size when they are read.

    Raises MissingDataError where the package or the data is missing.
    """

    name = "huggingface"

    def __init__(
        self,
        path: str,
        image_size: int = 32,
        channels: int = 3,
        train_split: str = "train",
        test_split: str = "test",
        image: str | None = None,
        label: str | None = None,
    ):
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise MissingDataError("data=huggingface needs the extra: pip install 'paribus[data]'") from error
        self.shape = (channels, image_size, image_size)
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
        self.parts = (parts[train_split], parts[test_split])
        features = self.parts[0].features
        self.image = image or _column(features, "Image", path)
        self.label = label or _column(features, "ClassLabel", path)
        self.num_classes = features[self.label].num_classes

    def load(self) -> LazyData:
        train, test = (Rows(part, self.image, self.label, self.shape) for part in self.parts)
        return LazyData(train, train.labels(), test, test.labels())


class Rows(Dataset[Any]):
    """(x (C, H, W) uint8, y) for each row."""

    def __init__(self, rows: Any, image: str, label: str, shape: tuple[int, int, int]):
        self.rows, self.image, self.label, self.shape = rows, image, label, shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.rows[int(index)]
        return to_tensor(row[self.image], self.shape), int(row[self.label])

    def labels(self) -> Tensor:
        return torch.tensor(list(self.rows[self.label]), dtype=torch.long)


def _column(features: Any, kind: str, path: str) -> str:
    for name, feature in features.items():
        if type(feature).__name__ == kind:
            return str(name)
    key = "image" if kind == "Image" else "label"
    raise MissingDataError(f"{path} has no column of type {kind} among {', '.join(features)}. Set data.source.{key}")

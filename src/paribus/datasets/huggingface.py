"""Any image data set of the Hugging Face hub, or a local folder of one, through the `datasets` package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.folder import to_tensor
from paribus.datasets.hub import parts_of
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
        self.shape = (channels, image_size, image_size)
        self.parts = parts_of(path, train_split, test_split)
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

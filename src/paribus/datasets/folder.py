"""Folders of images: root/train/CLASS/*, and root/test/CLASS/* (or val, validation)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.source import LazyData, MissingDataError

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


class ImageFolder:
    """Images of any size, resized to image_size x image_size when they are read; classes are the names of folders.

    root: has a folder train and one of test, val, validation, each with a folder for every class.
    channels: 3 for colour, 1 for grey levels.

    Raises MissingDataError where a folder is missing, ValueError where training and test classes differ or a file of
    the test part is also in the training part.
    """

    name = "image_folder"

    def __init__(self, root: str, image_size: int = 64, channels: int = 3):
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey levels) or 3 (colour), got {channels}")
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {image_size}")
        self.root = Path(root)
        self.shape = (channels, image_size, image_size)
        train = self.root / "train"
        tests = [self.root / name for name in ("test", "val", "validation")]
        test = next((folder for folder in tests if folder.is_dir()), None)
        if not train.is_dir() or test is None:
            raise MissingDataError(
                f"An image folder has train/CLASS/*.png and test/CLASS/*.png; {self.root.resolve()} has "
                f"{'no train' if not train.is_dir() else 'neither test, val nor validation'}. Set data.source.root"
            )
        self.train, self.test = train, test
        self.classes = sorted(folder.name for folder in train.iterdir() if folder.is_dir())
        if extra := {folder.name for folder in test.iterdir() if folder.is_dir()} - set(self.classes):
            raise ValueError(
                f"{test} has classes that {train} does not have: {', '.join(sorted(extra))}. Rename or remove them"
            )
        self.num_classes = len(self.classes)

    def load(self) -> LazyData:
        train, test = self._files(self.train), self._files(self.test)
        if not train or not test:
            raise MissingDataError(
                f"{self.root} holds {len(train)} training and {len(test)} test images, but both are needed"
            )
        if leak := _contents(path for path, _ in train).keys() & _contents(path for path, _ in test).keys():
            known = _contents(path for path, _ in test)
            raise ValueError(
                f"{len(leak)} test images are also training images, e.g. {known[min(leak)]}. Remove them from one part"
            )
        return LazyData(ImageFiles(train, self.shape), _labels(train), ImageFiles(test, self.shape), _labels(test))

    def _files(self, folder: Path) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in _IMAGES
        ]


class ImageFiles(Dataset[Any]):
    """(x (C, H, W) uint8, y) for each (path, label)."""

    def __init__(self, files: Sequence[tuple[Path, int]], shape: tuple[int, int, int]):
        self.files = files
        self.shape = shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        return read_image(path, self.shape), label


def read_image(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """An image file as a uint8 tensor of `shape`."""
    from PIL import Image

    with Image.open(path) as image:
        return to_tensor(image, shape)


def to_tensor(image: object, shape: tuple[int, int, int]) -> Tensor:
    """A PIL image, converted and resized (bilinear, with antialiasing), as a uint8 tensor of `shape`."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    channels, height, width = shape
    fitted = image.convert("L" if channels == 1 else "RGB")
    if fitted.size != (width, height):
        fitted = fitted.resize((width, height), Image.Resampling.BILINEAR)
    return (
        torch.from_numpy(np.array(fitted, dtype=np.uint8))
        .reshape(height, width, channels)
        .permute(2, 0, 1)
        .contiguous()
    )


def _labels(files: Sequence[tuple[Path, int]]) -> Tensor:
    return torch.tensor([label for _, label in files], dtype=torch.long)


def _contents(paths: object) -> dict[str, Path]:
    """Paths by the hash of their size and first 64 KiB: enough to tell copies."""
    table = {}
    for path in paths:  # type: ignore[attr-defined]
        with open(path, "rb") as file:
            head = file.read(65536)
        table[hashlib.sha256(f"{path.stat().st_size}:".encode() + head).hexdigest()] = path
    return table

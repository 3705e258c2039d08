"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the Python version of the archives, or their extracted folder."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paribus.datasets.files import download
from paribus.datasets.source import RawData


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays, strings and containers, and refuses everything else that a pickle could do."""

    _ALLOWED = {"_reconstruct", "ndarray", "dtype", "encode", "scalar"}

    def find_class(self, module: str, name: str) -> Any:
        if name in self._ALLOWED and module.split(".")[0] in ("numpy", "_codecs"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a data file may hold arrays only, found {module}.{name}")


class CIFAR:
    """50,000 training and 10,000 test images of 3 x 32 x 32, in 10 or 100 classes.

    root: folder with the archive cifar-10-python.tar.gz (cifar-100-python.tar.gz) or its extracted folder.
    """

    shape = (3, 32, 32)
    _SETS: dict[int, dict[str, Any]] = {
        10: {
            "archive": "cifar-10-python.tar.gz",
            "md5": "c58f30108f718f92721af3b95e74349a",
            "folder": "cifar-10-batches-py",
            "train": [f"data_batch_{k}" for k in range(1, 6)],
            "test": ["test_batch"],
            "labels": "labels",
        },
        100: {
            "archive": "cifar-100-python.tar.gz",
            "md5": "eb9058c3a382ffc7106e4002c42a8d85",
            "folder": "cifar-100-python",
            "train": ["train"],
            "test": ["test"],
            "labels": "fine_labels",
        },
    }

    def __init__(self, num_classes: int, root: str):
        if num_classes not in self._SETS:
            raise ValueError(f"CIFAR has 10 or 100 classes, got {num_classes}")
        self.num_classes = num_classes
        self.name = f"cifar{num_classes}"
        self.root = Path(root)
        self._set = self._SETS[num_classes]

    def load(self) -> RawData:
        folder = self.root / self._set["folder"]
        if folder.is_dir():
            return self._read(lambda name: (folder / name).read_bytes())
        archive = self.root / self._set["archive"]
        if not archive.is_file():
            remedy = f"Put {self._set['archive']} or the folder {self._set['folder']} into {self.root}"
            download(f"https://www.cs.toronto.edu/~kriz/{self._set['archive']}", archive, self._set["md5"], remedy)
        with tarfile.open(archive) as tar:

            def member(name: str) -> bytes:
                file = tar.extractfile(f"{self._set['folder']}/{name}")
                assert file is not None
                return file.read()

            return self._read(member)

    def _read(self, content: Callable[[str], bytes]) -> RawData:
        train_x, train_y = self._part(content, self._set["train"])
        test_x, test_y = self._part(content, self._set["test"])
        return RawData(train_x, train_y, test_x, test_y)

    def _part(self, content: Callable[[str], bytes], names: list[str]) -> tuple[Tensor, Tensor]:
        batches = [_ArraysOnly(io.BytesIO(content(name)), encoding="latin1").load() for name in names]
        x = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        y = np.concatenate([batch[self._set["labels"]] for batch in batches])
        return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y.astype(np.int64))

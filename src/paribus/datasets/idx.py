"""MNIST and Fashion-MNIST: the IDX files of LeCun, Cortes & Burges 1998."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paribus.datasets.files import download
from paribus.datasets.source import RawData, find_file

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_idx(path: Path) -> Tensor:
    """An IDX file, gzipped or plain: two zero bytes, a type, the number of dimensions, their sizes, the values.

    Raises ValueError for a file that is not of this form or shorter than its header says.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        content = file.read()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(f"{path} is not an IDX file. Delete it and get it again")
    dtype, dimensions = np.dtype(_TYPES[content[2]]), content[3]
    sizes = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    values = np.frombuffer(content, dtype, offset=4 + 4 * dimensions)
    if values.size != int(np.prod(sizes)):
        raise ValueError(f"{path} holds {values.size} values, its header says {sizes}. Delete it and get it again")
    return torch.from_numpy(values.reshape(sizes).astype(dtype.newbyteorder("="), copy=True))


class IDX:
    """60,000 training and 10,000 test images of 28 x 28 grey levels, from IDX files in `root`.

    name: "mnist" or "fashion_mnist".
    root: folder with the four files, gzipped or plain; Debian's package dataset-fashion-mnist is found by itself.
    """

    shape = (1, 28, 28)
    num_classes = 10
    SYSTEM = {"fashion_mnist": [Path("/usr/share/datasets/fashion-mnist")], "mnist": []}
    URLS = {
        "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
        "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    }
    MD5 = {
        "mnist": (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        "fashion_mnist": (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    }

    def __init__(self, name: str, root: str):
        if name not in self.URLS:
            raise ValueError(f"IDX data sets are {', '.join(self.URLS)}, got {name!r}")
        self.name = name
        self.root = Path(root)

    def load(self) -> RawData:
        train_x, train_y, test_x, test_y = (read_idx(self._file(k)) for k in range(4))
        return RawData(train_x[:, None], train_y.long(), test_x[:, None], test_y.long())

    def _file(self, number: int) -> Path:
        stem = _FILES[number]
        names = [stem, f"{stem}.gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz"]
        folders = [self.root, self.root / "raw", *self.SYSTEM[self.name]]
        found = find_file(folders, names)
        if found is None:
            remedy = f"Put the four IDX files into {self.root}"
            if self.name == "fashion_mnist":
                remedy += ", or install Debian's package: apt-get install dataset-fashion-mnist"
            found = self.root / f"{stem}.gz"
            download(f"{self.URLS[self.name]}/{stem}.gz", found, self.MD5[self.name][number], remedy)
        return found

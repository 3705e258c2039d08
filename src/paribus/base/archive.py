"""Files of torch.save, read with the checksums that are in them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch


def read(path: Path) -> Any:
    """The tensors and plain values of a file of torch.save, on the CPU.

    torch.load does not look at the CRC of the archive's parts: a flipped bit would be a weight like any other.

    Raises ValueError where a part is not what was written or the file is no archive, FileNotFoundError where there is
    none, and what torch.load raises for values that are not plain.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError:
        raise
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is not a complete archive: {error}") from error
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} within it is wrong")
    return torch.load(path, map_location="cpu", weights_only=True)

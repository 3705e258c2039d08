"""Files of well-known data sets: found where they are installed, or downloaded, checked, and put there whole."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import urllib.error
import urllib.request
from pathlib import Path

from paribus.datasets.source import MissingDataError


def in_scikit_learn(name: str) -> Path:
    """A data file of the installed package. Importing scikit-learn, which offers them, would take a second.

    Raises MissingDataError where the package or the file is missing.
    """
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingDataError(
            f"{name} comes with scikit-learn, and the installed one has none. Install it: pip install scikit-learn"
        )
    return path


def download(url: str, target: Path, checksum: str, remedy: str) -> None:
    """Fetch a file to `target` if its MD5 is `checksum`; the file appears whole or not at all.

    Raises MissingDataError, ending with `remedy`, where the network or the file is not what it should be.
    """
    digest = hashlib.md5(usedforsecurity=False)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                while block := response.read(1 << 20):
                    digest.update(block)
                    file.write(block)
        if digest.hexdigest() != checksum:
            raise MissingDataError(f"{url} has MD5 {digest.hexdigest()}, expected {checksum}. {remedy}")
        os.replace(temporary, target)
    except (urllib.error.URLError, OSError) as error:
        raise MissingDataError(
            f"{target.name} is not in {target.parent} and can't be downloaded ({error}). {remedy}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def signature(path: str) -> tuple[int, ...]:
    """Equal while a file has not been written anew."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino

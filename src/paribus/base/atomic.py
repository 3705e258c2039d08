"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from paribus.base.errors import StorageFailed, is_storage


def temporary_beside(path: Path) -> Path:
    """A hidden name in the same folder (renaming is atomic only within a file system), one a process."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_atomically(path: Path, text: str, after_power_cut: Literal["new", "old or new", "any"] = "new") -> None:
    """Replace the content of `path`: a reader sees the old text or the new one.

    after_power_cut: what is there then. Both texts take a write to the disk, some milliseconds, and the new one for
        sure another for the folder; `any` takes none, and what is there may be empty.
    """
    temporary = temporary_beside(path)
    with _cleaned_up(temporary, path):
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            if after_power_cut != "any":
                os.fsync(file.fileno())
        os.replace(temporary, path)
    if after_power_cut == "new":
        _sync_folder(path.parent)


def write_file_atomically(path: Path, write: Callable[[Path], object], rename: bool = True) -> None:
    """write(temporary path), flush it to the disk, then rename it to `path`.

    rename: false for a process that only takes part in the writing.
    """
    temporary = path.with_suffix(".tmp")
    with _cleaned_up(temporary, path):
        write(temporary)
        if rename:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)


@contextmanager
def _cleaned_up(temporary: Path, path: Path) -> Iterator[None]:
    """Removes `temporary` where `path` could not be written. Raises StorageFailed where the disk is to blame."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if is_storage(error) or (isinstance(error, Exception) and not path.parent.is_dir()):
            raise StorageFailed(f"{path} can't be written: {reason(error)}. Make room") from error
        raise


def reason(error: BaseException) -> str:
    """What the system says of a file that it does not take; torch's own writer loses it."""
    if isinstance(error, FileNotFoundError):
        return "its folder was removed during the training"
    return (isinstance(error, OSError) and error.strerror) or "the disk is full or does not accept a file of this size"


def remove_leftovers(folder: Path) -> None:
    """Delete what killed writers left of a run. Only its owner may: it would take a living writer's."""
    for temporary in (*folder.glob(".*.tmp"), *folder.glob("checkpoints/*.tmp")):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk only when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems can't; the content is safe, the rename follows in time
        pass
    finally:
        os.close(descriptor)

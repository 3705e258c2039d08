"""One process at a time for a run."""

from __future__ import annotations

import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paribus.errors import UserError


class Busy(UserError):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, what: str, *, blocking: bool = False) -> Iterator[None]:
    """Holds the lock file `path` for the time of the context; `what` names the thing locked in messages.

    The kernel lets go of the lock when the last process that inherited it dies, however it dies, so a lock is
    never stale and the file is never deleted. On Linux this holds over NFS version 4 too; a file system
    without locks gives a warning and no protection.

    blocking: wait for another holder instead of raising.

    Raises Busy where another process holds the lock and `blocking` is false.
    """
    # Open for writing, because NFS locks only those; not truncated, because it names the holder.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise Busy(
                f"only one process works on {what} at a time, and {holder} does. Wait for it, or stop it"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{path.parent} lies on a file system without locks ({error.strerror}): "
                f"start no second process on {what}",
                stacklevel=3,
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)

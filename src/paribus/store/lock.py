"""One process at a time for a run."""

from __future__ import annotations

import fcntl
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paribus.base.errors import StorageFailed, UserError


class Busy(UserError):
    """Another process holds the lock."""


_held: set[int] = set()  # descriptors of the locks of this process


def _let_go() -> None:
    """A forked process, such as a loader's worker, may live on for seconds when the holder is killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def exclusive(path: Path, what: str, *, blocking: bool = False) -> Iterator[None]:
    """Holds the lock file `path` for the time of the context; `what` names the thing locked in messages.

    The kernel lets go of the lock when this process dies, however it dies, so a lock is never stale and the file is
    never deleted. Processes that it forks do not hold it. On Linux this holds over NFS version 4 too; a file system
    without locks gives a warning and no protection.

    blocking: wait for another holder instead of raising.

    Raises Busy where another process holds the lock and `blocking` is false.
    """
    # Open for writing, because NFS locks only those; not truncated, because it names the holder.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageFailed(f"{path} can't be written: {error.strerror}. Make room, or set paths.outputs") from error
    _held.add(descriptor)
    try:
        try:
            _acquire(descriptor, blocking)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise Busy(
                f"only one process may work on {what} at a time, and {holder} is doing so. Wait for it, or stop it"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{path.parent} lies on a file system without locks ({error.strerror}): "
                f"start no second process on {what}",
                stacklevel=3,
            )
        with suppress(OSError):  # a full disk: the lock holds without the name of its holder
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        if descriptor in _held:  # not in a forked process
            _held.remove(descriptor)
            with suppress(OSError):  # at once, also where a process was forked that has not yet let go
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock; False where there is no lock file or no file system with locks."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who ask are not in each other's way; let go of at once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, blocking: bool) -> None:
    """Who only asks (is_held) has the lock for microseconds: that must not look like a holder."""
    for attempt in range(5):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            if attempt == 4:
                raise
            time.sleep(0.005)

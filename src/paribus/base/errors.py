"""UserError, the exception for mistakes that the user can correct: exit code 2, one message, no traceback."""

from __future__ import annotations

import errno


class UserError(Exception):
    """Something in the user's configuration or environment is wrong.

    The message states the invariant, the value received and the remedy.
    """


class StandsStill(UserError):
    """A training has ended and its weights are where they were: its record says that it failed, and why."""


class StorageFailed(OSError):
    """The files of a run can't be written, or somebody has removed them: a full or read-only disk. Exit code 1."""


_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES, errno.EPERM)

_TORCH = ("PytorchStreamWriter failed", "PyTorchStreamWriter failed", "unexpected pos")


def is_storage(error: BaseException) -> bool:
    """Whether an exception, or what it was raised for, says that files can't be written."""
    seen: BaseException | None = error
    while seen is not None:
        if (
            isinstance(seen, StorageFailed)
            or getattr(seen, "storage", False)
            or (isinstance(seen, OSError) and seen.errno in _STORAGE)
        ):
            return True
        # torch's own writer raises a RuntimeError that has lost the reason.
        if any(
            sign in str(seen) for sign in ("PytorchStreamWriter failed", "PyTorchStreamWriter failed", "unexpected pos")
        ):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class RunsFailed(Exception):
    """Some runs of a sweep failed, the others were trained. Each entry says which and why; exit code 1."""

    def __init__(self, failures: list[str]):
        self.failures = failures
        super().__init__(f"{len(failures)} runs failed")


class JobFailed(Exception):
    """A job of a sweep failed in its own process. The message says how; its traceback was shown there."""


class RankFailed(RuntimeError):
    """A process of a run of several failed, and the others ended with it. The message says which, and how.

    kind: killed, out_of_memory, storage or bug. trace: the end of its traceback; "" where it died without one.
    """

    def __init__(self, message: str, kind: str, trace: str = ""):
        self.kind, self.trace = kind, trace
        self.storage = kind == "storage"
        super().__init__(message, kind, trace)

    def __str__(self) -> str:
        return str(self.args[0])


class StackFailed(Exception):
    """Some members of a stack failed, the others were trained; run -> why. storage: since files can't be written."""

    def __init__(self, failures: dict[str, str], storage: bool = False):
        self.failures = failures
        self.storage = storage
        super().__init__(failures)

    def __str__(self) -> str:
        return "; ".join(f"{id}: {reason}" for id, reason in self.failures.items())


class Interrupted(BaseException):
    """The user asked to stop (Ctrl-C, SIGTERM); the run is saved and the same command resumes it."""


class Pruned(Interrupted):
    """A search has no further use for the run; it is saved, and its record says so."""

"""Messages for exceptions: a user's mistake is one message and exit code 2."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from paribus.base.errors import Interrupted, RankFailed, RunsFailed, UserError, is_storage
from paribus.base.memory import leave
from paribus.base.terminal import say


def guarded(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code; a bug keeps its traceback."""
    try:
        streams()
        here()
        command()
        sys.stdout.flush()  # what can't be written is said here, and not by Python when it ends
    except UserError as error:
        say(f"error: {error}")
        return 2
    except RunsFailed as error:
        say(f"{len(error.failures)} runs failed; the same command tries them again:")
        for failure in error.failures:
            say(f"  {failure}")
        return 1
    except (Interrupted, KeyboardInterrupt) as stop:
        say(str(stop) or "stopped")
        return 130
    except BrokenPipeError:
        return 0
    except RankFailed as error:  # its own traceback was shown where it failed
        say(f"error: {error.kind}: {error}")
        return 1
    except Exception as error:
        if is_storage(error):
            say(f"error: storage: {error}")
            return 1
        if isinstance(error, OSError) and error.errno in _PLACES and error.filename is not None:
            say(f"error: {error.filename} can't be used: {error.strerror}. Name another place, or put it right")
            return 2
        from paribus.config.compose import explain, is_complaint  # not before: help needs no Hydra

        if not is_complaint(error):
            raise
        say(f"error: {explain(error)}")
        return 2
    return 0


# What is not where a command looks for it, or is something else: a folder in place of a file.
_PLACES = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)


def streams() -> None:
    """Every stream is there, and takes every letter: cron and daemons close some, old locales know few."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # the next file that is opened would take its place
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def here() -> None:
    """Raises UserError where the current folder is gone: paths, torch and git all need one."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(f"the current folder can't be used ({error.strerror}). Go to another: cd ~") from error


def run_and_exit(command: Callable[[], Any]) -> NoReturn:
    """The life of a process whose only task is this command."""
    code = guarded(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the last word is said: one more Ctrl-C would change its exit code
    leave()
    try:
        sys.stdout.flush()
    except OSError:  # it was said; Python would try again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)

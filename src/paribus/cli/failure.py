"""Turns exceptions into what a person reads: a user's mistake is one message and exit code 2."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from paribus.errors import Interrupted, RunsFailed, UserError, is_storage
from paribus.memory import leave
from paribus.terminal import say


def guarded(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code; a bug keeps its traceback."""
    try:
        command()
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
    except Exception as error:
        if is_storage(error):
            say(f"error: storage: {error}")
            return 1
        from paribus.plan.compose import explain, is_complaint  # not before: help needs no Hydra

        if not is_complaint(error):
            raise
        say(f"error: {explain(error)}")
        return 2
    return 0


def run_and_exit(command: Callable[[], Any]) -> NoReturn:
    """The life of a process whose only task is this command."""
    code = guarded(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the last word is said: one more Ctrl-C would change its exit code
    leave()
    sys.exit(code)

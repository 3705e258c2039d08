"""Signals that ask a process to stop where it can go on later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from paribus.base.errors import Interrupted
from paribus.base.terminal import say

HANDOVER = 60  # seconds; clusters kill 90 s after their signal


class Stop:
    """What a `graceful_stop` is for. asked: whether somebody has asked for it."""

    def __init__(self, request: Callable[[], Any]):
        self.request, self.asked = request, False

    def ask(self) -> None:
        self.asked = True
        self.request()

    def check(self) -> None:
        """Before the next part of a job. Raises Interrupted where the last one came to its end though it was asked to
        stop: it was too near to it."""
        if self.asked:
            raise Interrupted("stopped; the same command resumes")


_asked: list[bool] = []
_around: list[Stop] = []  # the graceful stops of the main thread that are going on, the outermost first


@contextmanager
def asked_to_stop() -> Iterator[None]:
    """Within it, what can be stopped is asked to before its first step, as if somebody had pressed Ctrl-C by then."""
    _asked.append(True)
    try:
        yield
    finally:
        _asked.pop()


def stops_now() -> bool:
    """Whether this is within `asked_to_stop`, where no epoch is long."""
    return bool(_asked)


@contextmanager
def graceful_stop(request: Callable[[], Any] = lambda: None) -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM calls request(), which stops at the next safe point; another Ctrl-C stops at once.

    Within another one both are asked, so a job of several runs stops when a run has ended by itself in that moment.

    Further SIGTERMs change nothing: a cluster sends one to every process, and the one that started this one another.

    A cluster's signal that the time of a job is nearly up (SIGUSR1 or SIGUSR2, where somebody handles it) is a request
    as well. Its handler, which ends the job and asks for another, is called when the run has stopped and saved; after
    HANDOVER seconds in any case.
    """
    stop = Stop(request)
    if any(each.asked for each in _around):
        stop.ask()
    elif _asked:
        request()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # A signal that is ignored stays ignored: the parent of this process speaks for it (as under nohup).
    signals = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    signals += [number for number in (signal.SIGUSR1, signal.SIGUSR2) if callable(signal.getsignal(number))]
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in signals}
    handed_over: list[int] = []

    def hand_over(*_: Any) -> None:
        while handed_over:
            late = handed_over.pop()
            previous[late](late, None)

    def handle(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            say("\nstopping after this step; the same command resumes the run. Press Ctrl-C again to stop at once")
        elif number != signal.SIGTERM and not handed_over:
            handed_over.append(number)
            previous.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, hand_over))
            signal.alarm(HANDOVER)
        for each in reversed(_around):
            each.ask()

    for number in signals:
        signal.signal(number, handle)
    _around.append(stop)
    try:
        yield stop
    finally:
        _around.remove(stop)
        if handed_over:
            signal.alarm(0)
        for kept, handler in previous.items():
            signal.signal(kept, handler)
        hand_over()

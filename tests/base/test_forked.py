"""A function in a forked process: its result, or how its process ended."""

import os
import signal
import sys
import time

import pytest

from paribus.base.forked import in_a_fork


def test_results_of_any_size_come_back():
    large = b"x" * 300_000
    ended = in_a_fork(lambda: (os.getpid(), large), 60)
    [(pid, content)] = ended.result
    assert pid != os.getpid()
    assert content == large
    assert ended.code == 0


def raising():
    raise ValueError("on purpose")


def exiting():
    print("licence expired", file=sys.stderr)
    os._exit(3)


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        (raising, 0, "ValueError: on purpose"),
        (exiting, 3, "licence expired"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL, ""),
        (lambda: print("not to be pickled") or (lambda: None), 0, "pickle"),
    ],
)
def test_without_a_result_the_end_is_told(function, code, said):
    ended = in_a_fork(function, 60)
    assert ended.result == ()
    assert ended.code == code
    assert said in ended.last_words


def test_what_takes_too_long_is_killed():
    started = time.monotonic()
    ended = in_a_fork(lambda: time.sleep(60), 0.2)
    assert ended.result == ()
    assert ended.code is None
    assert time.monotonic() - started < 30

"""A function in a process of its own: its result, or how its process ended."""

import operator
import os
import signal
import sys
import time
from functools import partial

import pytest
import torch

from paribus.base import forked
from paribus.base.forked import apart, can_fork


@pytest.fixture(params=["forked", "a new interpreter"])
def kind(request, monkeypatch):
    monkeypatch.setattr(forked, "can_fork", lambda: request.param == "forked")


def test_results_of_any_size_come_back(kind):
    assert apart(os.getpid, 60).result[0] != os.getpid()
    large = b"x" * 300_000
    ended = apart(partial(operator.mul, large, 2), 60)
    assert ended.result == (large * 2,)
    assert ended.code == 0


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        (partial(operator.truediv, 1, 0), 0, "ZeroDivisionError: division by zero"),
        (partial(os._exit, 3), 3, ""),
        (partial(exec, "print('licence expired'); import os; os._exit(3)"), 3, "licence expired"),
        (partial(exec, "import os; os.kill(os.getpid(), 9)"), -signal.SIGKILL, ""),
        (partial(eval, "lambda: None"), 0, "pickle"),
    ],
)
def test_without_a_result_the_end_is_told(kind, function, code, said):
    ended = apart(function, 60)
    assert ended.result == ()
    assert ended.code == code
    assert said in ended.last_words


def test_what_takes_too_long_is_killed(kind):
    started = time.monotonic()
    ended = apart(partial(time.sleep, 60), 0.2)
    assert ended.result == ()
    assert ended.code is None
    assert time.monotonic() - started < 30


def test_a_new_interpreter_finds_what_this_process_finds(kind, tmp_path, monkeypatch):
    (tmp_path / "somewhere_else.py").write_text("def where(): return __file__\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert apart(__import__("somewhere_else").where, 60).result == (str(tmp_path / "somewhere_else.py"),)
    del sys.modules["somewhere_else"]


def test_a_process_that_has_used_cuda_is_not_forked(monkeypatch):
    assert can_fork() == (sys.platform == "linux")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert not can_fork()

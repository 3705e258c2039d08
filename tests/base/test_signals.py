"""Requests to stop: nested ones are asked together, and none is lost at the end of a part."""

import os
import signal

import pytest

from paribus.base.errors import Interrupted
from paribus.base.signals import asked_to_stop, graceful_stop


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_asks_every_stop_around():
    heard = []
    before = signal.getsignal(signal.SIGTERM)
    with graceful_stop(lambda: heard.append("job")) as job:
        with graceful_stop(lambda: heard.append("run")) as run:
            assert not job.asked
            assert not run.asked
            terminate()
            assert job.asked
            assert run.asked
        with pytest.raises(Interrupted, match="the same command resumes"):
            job.check()
    assert heard == ["run", "job"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_begins_after_the_request_is_asked_at_once():
    heard = []
    with graceful_stop() as job:
        terminate()
        assert job.asked
        with graceful_stop(lambda: heard.append("late")):
            assert heard == ["late"]
    with graceful_stop(lambda: heard.append("another job")) as fresh:  # the request was for the first one
        fresh.check()
    assert heard == ["late"]


def test_the_rehearsal_of_a_stop_asks_runs_and_not_their_job():
    heard = []
    with asked_to_stop(), graceful_stop(lambda: heard.append("run")) as job:
        job.check()
    assert heard == ["run"]

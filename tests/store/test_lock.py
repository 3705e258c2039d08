"""Locks: who holds one, and that a killed owner holds none."""

import os
import signal
import subprocess
import sys
import time

import pytest

from paribus.store.lock import Busy
from paribus.store.store import Store

HOLDER = """
import sys, time
from paribus.store.store import Store
with Store(sys.argv[1]).lock("a"):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_asking_creates_nothing_and_finds_no_holder(tmp_path):
    store = Store(tmp_path)
    assert not store.is_locked("a")
    assert not list(tmp_path.iterdir())
    with store.lock("a"):
        assert store.is_locked("a")
        assert not store.is_locked("b")
    assert not store.is_locked("a")


def test_the_lock_of_a_killed_owner_is_free(tmp_path):
    store = Store(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "holds\n"
        assert store.is_locked("a")
        with pytest.raises(Busy, match=f"process {holder.pid} on "), store.lock("a"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not store.is_locked("a")
        with store.lock("a"):
            pass


def test_a_running_record_without_a_living_process_was_interrupted(tmp_path):
    from paribus.store.record import Record

    store = Store(tmp_path)
    record = Record(id="a", status="running")
    with store.lock("a"):
        assert store.state(record) == "running"
    assert store.state(record) == "interrupted"
    assert store.state(Record(id="a", status="failed")) == "failed"


def test_a_forked_process_does_not_hold_what_its_parent_holds(tmp_path):
    """As the workers of a loader, which live on for seconds when their run is killed."""
    store = Store(tmp_path)
    of_holder, ours = os.pipe()
    holder = os.fork()
    if holder == 0:
        with store.lock("a"):
            if os.fork() == 0:
                os.write(ours, b"%d\n" % os.getpid())
                time.sleep(60)
            time.sleep(60)
    worker = int(os.read(of_holder, 20))
    assert store.is_locked("a")
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert not store.is_locked("a")
    os.kill(worker, signal.SIGKILL)
    os.close(of_holder)
    os.close(ours)

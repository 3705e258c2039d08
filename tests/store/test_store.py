"""The store: whole records or none, whatever kills the writer; one trainer for a run; quick with 10,000."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from paribus.base import atomic
from paribus.base.errors import UserError
from paribus.store.record import Record
from paribus.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_reads_what_was_written(store):
    record = Record(id="a", status="done", metrics={"test/acc": 0.5})
    store.write(record)
    assert store.read("a") == record
    assert store.read("b") is None
    assert [path.name for path in store.run_dir("a").iterdir()] == ["record.json"]


def test_a_writer_killed_before_the_rename_leaves_the_old_record(store):
    store.write(Record(id="a", status="running"))
    script = (
        "import os, signal\n"
        "from paribus.base import atomic\n"
        "from paribus.store.store import Store\n"
        "from paribus.store.record import Record\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Store({str(store.root)!r}).write(Record(id='a', status='done'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    assert store.read("a").status == "running"
    assert len(list(store.run_dir("a").iterdir())) == 2  # what it left is removed by the next owner of the lock
    with store.lock("a"):
        assert [path.name for path in store.run_dir("a").iterdir()] == ["record.json"]


def test_a_full_disk_leaves_the_old_record(store, monkeypatch):
    store.write(Record(id="a", status="running"))

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        store.write(Record(id="a", status="done"))
    assert store.read("a").status == "running"
    assert [path.name for path in store.run_dir("a").iterdir()] == ["record.json"]


def test_a_record_that_is_no_json_writes_nothing(store):
    with pytest.raises(TypeError):
        store.write(Record(id="a", status="done", choices={"norm": {1, 2}}))
    assert list(store.run_dir("a").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", '{"id": "b", "status": "done", "schema": 1}'])
def test_a_damaged_record_is_named_and_never_used(store, text):
    store.write(Record(id="good", status="done"))
    store.run_dir("bad").mkdir()
    (store.run_dir("bad") / "record.json").write_text(text)
    with pytest.warns(UserWarning, match=r"bad.record\.json can't be used"):
        assert store.read("bad") is None
    with pytest.warns(UserWarning, match=r"bad.record\.json"):
        assert [record.id for record in store.scan()] == ["good"]


def test_scan_of_nothing_and_of_strays(store):
    assert list(store.scan()) == []
    store.write(Record(id="a", status="done"))
    (store.runs / "stray.txt").write_text("")
    (store.runs / "empty").mkdir()
    assert [record.id for record in store.scan()] == ["a"]


def test_find_takes_a_beginning_or_a_folder(store):
    for id in ("abc", "abd", "ab"):
        store.write(Record(id=id, status="done"))
    assert store.find("abc").id == "abc"
    assert store.find(f"{store.run_dir('abd')}/").id == "abd"
    assert store.find("ab").id == "ab"
    for name, reason in (("a", "3 runs"), ("x", "no run"), ("", "no run")):
        with pytest.raises(UserError, match=reason):
            store.find(name)


def test_the_lock_excludes_another_process_and_dies_with_its_owner(store):
    script = (
        "import sys, time\n"
        "from paribus.store.store import Store\n"
        f"with Store({str(store.root)!r}).lock('a'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    try:
        with pytest.raises(UserError, match=f"run a .*process {owner.pid}"), store.lock("a"):
            pass
        with store.lock("b"):
            pass
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    with store.lock("a", blocking=True):
        assert not store.run_dir("a").exists()  # a run that never starts leaves no folder


def test_the_lock_is_not_shared_within_a_process_and_is_let_go_on_errors(store):
    with store.lock("a"), pytest.raises(UserError), store.lock("a"):
        pass
    with pytest.raises(KeyError), store.lock("a"):
        raise KeyError
    with store.lock("a"):
        pass


def test_outputs_that_are_a_file_are_a_users_mistake(tmp_path):
    (tmp_path / "outputs").write_text("")
    with pytest.raises(UserError, match=r"paths\.outputs"), Store(tmp_path / "outputs").lock("a"):
        pass


def test_ten_thousand_records_are_read_in_seconds(store):
    text = Record(
        id="ID",
        status="done",
        choices={f"group{k}": "option" for k in range(12)},
        metrics={f"metric/{k}": k / 7 for k in range(15)},
        provenance={"versions": {f"package{k}": "1.2.3" for k in range(8)}, "command": "x" * 200},
    ).to_json()
    for number in range(10_000):
        id = f"{number:016x}"
        os.makedirs(f"{store.runs}/{id}")
        with open(f"{store.runs}/{id}/record.json", "w") as file:
            file.write(text.replace('"ID"', f'"{id}"'))
    started = time.process_time()
    assert sum(1 for _ in store.scan()) == 10_000
    assert time.process_time() - started < 3.0

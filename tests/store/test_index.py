"""The index of the records: never the truth, whatever becomes of it."""

import copy as copy_module
import dataclasses
import math
import os
import pickle
import random
import sqlite3
import threading

import pytest

from paribus.store import index
from paribus.store.index import NAME, Index, mark
from paribus.store.reader import Reader
from paribus.store.record import Record
from paribus.store.store import Store

DECLARED = {"acc": {"better": "higher", "unit": "percent", "chance": "1/classes"}}


def made(k, **changes):
    content = {
        "ablation": "norms",
        "arm": "layer",
        "seed": k,
        "choices": {"norm": "layer", "optimizer.lr": 0.1},
        "comparable": {"budget": "3 epochs"},
        "metrics": {"test/acc": 0.9 + k / 1e3, "test/loss": 0.1},
        "timing": {"steps": 460 + k, "fit_seconds": 1.5},
        "declared": DECLARED,
        "provenance": {"command": f"paribus train seed={k}", "commit": None, "versions": {"torch": "2.13.0"}},
        "created": "2026-01-01T00:00:00+00:00",
        "checksums": {"config.yaml": f"{k:064x}"},
    }
    return Record(f"{k:016x}", **{"status": "done", **content, **changes})


ODD = [
    made(1, metrics={"test/acc": math.nan, "test/loss": math.inf, "lr": -0.0}, seed=None, created=None),
    made(2, metrics={"test/acc": 1, "count": 2**60, "tiny": 5e-324}),
    made(3, status="failed", failure={"type": "bug", "message": "é \U0001f600 'x'\n"}, metrics={}, timing={}),
    made(4, excluded="its data were wrong", choices={}, provenance={}, declared={}, checksums={}),
    made(5, status="pruned", failure={"type": "pruned", "message": "so", "study": "s"}, parameters=7, classes=10),
    made(6, provenance={"hardware": {"cpu": "x"}, "command": "paribus train", "segments": [{"steps": 3}]}),
]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Records of which the index takes notice at once."""
    monkeypatch.setattr(index, "LEAST", 1)
    monkeypatch.setattr(index, "FRESH", -60.0)
    store = Store(tmp_path)
    for record in (*ODD, *map(made, range(10, 40))):
        store.write(record)
    return store


def texts(records):
    return [record.to_json() for record in records]


def truth(store):
    return texts(record for id in store.ids() if (record := store.read(id)) is not None)


def forbid_reading(monkeypatch):
    """What is read from the records after this fails."""
    monkeypatch.setattr(Store, "read", lambda self, id: pytest.fail(f"{id} was read"))


def test_records_of_the_index_are_those_of_the_files(store, monkeypatch):
    """To the last bit, and in the types of their numbers. One with a number beyond 2^53 is read."""
    expected = truth(store)
    assert texts(store.scan()) == expected
    read = []
    real = Store.read
    monkeypatch.setattr(Store, "read", lambda self, id: read.append(id) or real(self, id))
    assert texts(store.scan()) == expected
    assert read == [ODD[1].id]
    again = [Reader(store)(id) for id in store.ids()]
    assert texts(again) == expected
    assert [type(v) for v in again[-1].timing.values()] == [int, float]
    assert again[-1].declaration("test/acc") == made(10).declaration("test/acc")
    assert {*vars(again[0])} == {*vars(made(1))}


def test_a_record_of_the_index_is_like_any_other(store):
    list(store.scan())
    found, same = [list(store.scan())[-1] for _ in range(2)], store.read(made(39).id)
    assert found[0] == same
    assert dataclasses.replace(found[1], arm="b") == dataclasses.replace(same, arm="b")
    first, second = list(store.scan())[-2:]
    assert pickle.loads(pickle.dumps(second)) == same
    assert copy_module.deepcopy(first) == store.read(made(38).id)
    with pytest.raises(AttributeError, match="a record has no colour"):
        first.colour  # noqa: B018
    with pytest.raises(AttributeError, match="a record has no colour"):
        same.colour  # noqa: B018


def test_records_of_one_kind_share_nothing_that_changes(store):
    list(store.scan())
    first, second = list(store.scan())[-2:]
    for part in ("provenance", "metrics", "timing", "checksums"):
        getattr(first, part)["new"] = 1.0
        assert "new" not in getattr(second, part)


def replace(store, record):
    store.write(record)


def edit(store, record):
    """In place, with the same size, as an editor may."""
    path = store.run_dir(record.id) / "record.json"
    text = path.read_text()
    path.write_text(text.replace("layer", "rlaye"))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def remove(store, record):
    store.replace(record.id)


def damage(store, record):
    (store.run_dir(record.id) / "record.json").write_text("{")


def copy(store, record):
    """With all its times, as rsync does."""
    path = store.run_dir(record.id) / "record.json"
    text, then = path.read_text().replace("layer", "rlaye"), path.stat()
    kept = path.with_name("kept")  # so that its inode is not used again
    path.rename(kept)
    path.write_text(text)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


@pytest.mark.parametrize("change", [replace, edit, remove, damage, copy])
def test_what_has_changed_since_is_noticed(store, change):
    list(store.scan())
    change(store, made(20, arm="other"))
    with pytest.warns(UserWarning, match="can't be used") if change is damage else _nothing():
        expected = truth(store)
    with pytest.warns(UserWarning, match="can't be used") if change is damage else _nothing():
        assert texts(store.scan()) == expected
    with pytest.warns(UserWarning, match="can't be used") if change is damage else _nothing():
        assert texts(filter(None, map(Reader(store), [*store.ids(), "0" * 16]))) == expected


class _nothing:
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


def garbage(path):
    path.write_bytes(b"no database" * 100)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    """Pages in the middle, as after a power cut."""
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = bytes(len(content) - 8192)
    path.write_bytes(content)


def other_form(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_tables(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {index.FORMAT}")
        connection.execute("CREATE TABLE records (id TEXT)")
    connection.close()


def wrong_numbers(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET numbers = zeroblob(32)")
    connection.close()


def wrong_kinds(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM kinds")
    connection.close()


def folder(path):
    path.unlink()
    path.mkdir()


BREAKS = [garbage, cut, empty, zeros, other_form, other_tables, wrong_numbers, wrong_kinds, folder]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_index_is_no_index_and_is_made_anew(store, broken, monkeypatch):
    expected = truth(store)
    list(store.scan())
    broken(store.root / NAME)
    assert texts(map(Reader(store), store.ids())) == expected
    broken(store.root / NAME) if broken is not folder else None
    assert texts(store.scan()) == expected
    if broken is not folder:  # nothing can take its place
        store.write(made(2))  # the one that no index takes
        list(store.scan())
        forbid_reading(monkeypatch)
        assert len(list(store.scan())) == len(expected)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(k, marks=pytest.mark.slow) for k in range(3, 100))])
def test_bytes_that_flip_change_no_record(store, seed):
    expected = truth(store)
    list(store.scan())
    path, r = store.root / NAME, random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(30):
        content[r.randrange(100, len(content))] ^= 1 << r.randrange(8)
    path.write_bytes(content)
    assert texts(map(Reader(store), store.ids())) == expected
    path.write_bytes(content)
    assert texts(store.scan()) == expected


def test_a_file_that_was_just_written_is_not_believed(store, monkeypatch):
    """It may be written once more within the grain of its time."""
    monkeypatch.setattr(index, "FRESH", 2.0)
    list(store.scan())
    assert not (store.root / NAME).exists()
    for id in store.ids():
        os.utime(store.run_dir(id) / "record.json", (1, 1))
    list(store.scan())
    assert (store.root / NAME).exists()


def test_few_records_have_no_index(store, monkeypatch):
    monkeypatch.setattr(index, "LEAST", 500)
    list(store.scan())
    assert not (store.root / NAME).exists()


def test_a_reader_reads_all_at_once(store, monkeypatch):
    expected, read = truth(store), Reader(store)
    read.all()
    forbid_reading(monkeypatch)
    assert texts(map(read, store.ids())) == expected


def test_a_reader_writes_what_it_has_learnt(store, monkeypatch):
    monkeypatch.setattr(index, "LEAST", 8)
    read = Reader(store)
    for id in store.ids():
        read(id)
    left = {*store.ids()} - {row[0] for row in Index(store.root).rows()}
    assert len(left) < len(store.ids()) / 2
    assert texts(map(Reader(store), store.ids())) == truth(store)


def test_those_that_are_gone_leave_the_index(store):
    list(store.scan())
    for k in range(10, 39):
        store.replace(made(k).id)
    store.write(made(50))
    list(store.scan())
    assert [row[0] for row in Index(store.root).rows()] == [id for id in store.ids() if id != ODD[1].id]


def test_many_readers_and_writers_at_once(store, monkeypatch):
    """Each sees records as they were written, old or new, and the index ends as a database."""
    wrong, stop = [], threading.Event()
    known = {record.id: {record.to_json()} for record in (*ODD, *map(made, range(10, 40)))}
    for k in range(10, 40):
        known[made(k).id] |= {made(k, arm=f"arm{n}").to_json() for n in range(5)}

    def look():
        while not stop.is_set():
            for record in store.scan():
                if record.to_json() not in known[record.id]:
                    wrong.append(record)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(5):
        for k in range(10, 40):
            store.write(made(k, arm=f"arm{n}"), wait=False)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert texts(store.scan()) == truth(store)
    assert not [path.name for path in store.root.iterdir() if path.name.startswith(f".{NAME}")]


def test_a_mark_of_nothing(tmp_path):
    assert mark(str(tmp_path / "record.json")) is None

"""paribus sync: uploads, reads back, fills in, marks; and loses nothing where the server fails."""

import json
import shutil

import pytest
import yaml

from paribus.extras.wandb import sync as wandb_sync
from paribus.extras.wandb.logger import wandb_logger
from paribus.extras.wandb.parts import MARK
from paribus.run.loggers import finish
from paribus.store.history import HistoryWriter
from paribus.store.record import Record
from paribus.store.store import Store

NODE = {"_target_": "paribus.extras.wandb.logger.wandb_logger", "project": "paribus", "entity": None}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "outputs")


def trained(store, id, logged=(3, 6, 9), mode="offline", wandb=True, seed=0):
    """A run with three epochs, of which W&B was told those of `logged`."""
    folder = store.run_dir(id)
    folder.mkdir(parents=True)
    record = Record(id=id, status="done", ablation="norm", arm="batch", seed=seed, choices={"norm": "batch"})
    record.metrics = {"test/acc": 0.5 + seed / 7, "train/loss": 1 / 9}
    config = {"group": "norm", "arm": "batch", "seed": seed, "tags": [], "logger": {"wandb": NODE if wandb else None}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    history = HistoryWriter(folder / "history.csv")
    for epoch, step in enumerate((3, 6, 9), start=1):
        history.append({"epoch": epoch, "step": step, "seconds": 0.1 * epoch, "train/loss": 1 / step})
    history.close()
    store.write(record)
    if wandb:
        run = {"id": id, "group": "norm", "arm": "batch", "seed": seed, "tags": [], "config": config}
        logger = wandb_logger(run, folder, project="paribus", mode=mode, wait=20.0)
        for epoch, step in enumerate((3, 6, 9), start=1):
            if step in logged:
                logger.log_metrics({"epoch": epoch, "seconds": 0.1 * epoch, "train/loss": 1 / step}, step)
        finish([logger], failed=False, summary={**record.metrics, "status": "done"})
    return record


def steps(server, id):
    return [row["step"] for _, row in sorted(server.run(id)["history"].items())]


def test_offline_runs_arrive_and_are_not_uploaded_twice(paribus, wandb_server, store):
    ids = ["a" * 16, "b" * 16]
    for seed, id in enumerate(ids):
        trained(store, id, seed=seed)
    trained(store, "c" * 16, wandb=False)
    announced = paribus("sync", "--dry-run")
    assert announced.code == 0
    assert "2 runs (2 offline)" in announced.err
    assert all(id in announced.err for id in ids)
    assert wandb_server.runs == {}
    assert paribus("sync").code == 2  # nobody to ask
    done = paribus("sync", "--yes", "--wait", "20")
    assert done.code == 0, done.err
    assert done.err.count("agrees with its record") == 2
    for id in ids:
        kept = wandb_server.run(id)
        assert steps(wandb_server, id) == [3, 6, 9]
        assert (kept["groupName"], kept["jobType"], kept["state"]) == ("norm", "batch", "finished")
        mark = json.loads((store.run_dir(id) / "wandb" / MARK).read_text())
        assert (mark["server"], mark["run"]) == (wandb_server.url, f"me/paribus/{id}")
    requests = len(wandb_server.requests)
    assert "nothing to upload" in paribus("sync", "--yes").err
    assert len(wandb_server.requests) == requests


def test_what_a_killed_process_had_not_written_comes_from_the_record(paribus, wandb_server, store):
    """The last epoch is in no file of W&B's. Its client reports success all the same."""
    trained(store, "a" * 16, logged=(3, 6))
    done = paribus("sync", "--yes", "--wait", "20")
    assert done.code == 0, done.err
    assert "1 of the rows were added" in done.err
    assert steps(wandb_server, "a" * 16) == [3, 6, 9]
    assert wandb_server.run("a" * 16)["groupName"] == "norm"


def test_a_run_with_several_parts_arrives_as_one(paribus, wandb_server, store):
    """Offline, killed, gone on with offline: two files of one run."""
    record = trained(store, "a" * 16, logged=(3, 6))
    [first] = store.run_dir(record.id).glob("wandb/offline-run-*")
    first.rename(first.with_name(f"offline-run-20200101_000000-{record.id}"))
    run = {"id": record.id, "group": "norm", "arm": "batch", "seed": 0, "tags": [], "config": {}}
    again = wandb_logger(run, store.run_dir(record.id), project="paribus", mode="offline")
    again.log_metrics({"epoch": 3, "seconds": 0.1 * 3, "train/loss": 1 / 9}, 9)
    finish([again], failed=False, summary={**record.metrics, "status": "done"})
    done = paribus("sync", "--yes", "--wait", "20")
    assert done.code == 0, done.err
    assert "of the rows" not in done.err
    assert steps(wandb_server, record.id) == [3, 6, 9]


def test_runs_that_never_knew_of_wandb_are_uploaded_from_their_records(paribus, wandb_server, store):
    trained(store, "a" * 16, wandb=False)
    done = paribus("sync", "--yes", "--project", "late", "--wait", "20")
    assert done.code == 0, done.err
    assert "1 from records" in done.err
    kept = wandb_server.runs["late/" + "a" * 16]
    assert steps(wandb_server, "a" * 16) == [3, 6, 9]
    assert kept["config"]["choices"]["value"] == {"norm": "batch"}


def test_online_runs_are_only_compared(paribus, wandb_server, store, monkeypatch):
    trained(store, "a" * 16, mode="online")
    before = wandb_server.run("a" * 16)["history"].copy()
    monkeypatch.setattr(wandb_sync, "_client", lambda uploads, wait: [pytest.fail("uploaded") for _ in uploads])
    done = paribus("sync", "--yes", "--wait", "20")
    assert done.code == 0, done.err
    assert "1 online, to be verified" in done.err
    assert wandb_server.run("a" * 16)["history"] == before


def test_an_interrupted_sync_goes_on_where_it_was(paribus, wandb_server, store, monkeypatch):
    ids = [letter * 16 for letter in "abc"]
    for seed, id in enumerate(ids):
        trained(store, id, wandb=False, seed=seed)
    filled = []

    def fill(upload, *rest, fill_in=wandb_sync._fill_in):
        if len(filled) == 1:
            raise KeyboardInterrupt
        filled.append(upload.record.id)
        fill_in(upload, *rest)

    monkeypatch.setattr(wandb_sync, "_fill_in", fill)
    assert paribus("sync", "--yes", "--project", "p", "--wait", "20").code == 130
    assert len(wandb_server.runs) == 1
    filled.clear()
    monkeypatch.undo()
    for name, value in wandb_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(store.root.parent)
    done = paribus("sync", "--yes", "--project", "p", "--wait", "20")
    assert done.code == 0, done.err
    assert "[2/2]" in done.err
    assert len(wandb_server.runs) == 3


@pytest.mark.parametrize("failure", ["500", "hang"])
def test_a_server_that_fails_is_said_and_nothing_is_marked(paribus, wandb_server, store, failure):
    trained(store, "a" * 16)
    wandb_server.failure = failure
    done = paribus("sync", "--yes", "--wait", "1")
    assert done.code == 2
    assert "the same command tries again" in done.err
    assert not (store.run_dir("a" * 16) / "wandb" / MARK).exists()


@pytest.mark.slow
def test_a_server_that_fails_in_the_middle(paribus, wandb_server, store):
    trained(store, "a" * 16)
    wandb_server.failure = lambda path: "500" if path.endswith("file_stream") else None
    done = paribus("sync", "--yes", "--wait", "2")
    assert done.code == 1
    assert "differs from the record in 3 rows" in done.err
    assert not (store.run_dir("a" * 16) / "wandb" / MARK).exists()
    wandb_server.failure = None
    assert paribus("sync", "--yes", "--wait", "20").code == 0
    assert set(steps(wandb_server, "a" * 16)) == {3, 6, 9}


def test_rows_that_never_arrive_are_named(paribus, wandb_server, store):
    """The server takes everything and keeps no row: W&B's client is content, we are not."""
    trained(store, "a" * 16)
    wandb_server.stream = lambda path, body: None
    done = paribus("sync", "--yes", "--wait", "20")
    assert done.code == 1
    assert "differs from the record in 3 rows of the history and test/acc, train/loss, status" in done.err
    assert not (store.run_dir("a" * 16) / "wandb" / MARK).exists()


def test_another_server_or_a_grown_file_is_uploaded_again(paribus, wandb_server, store, monkeypatch):
    trained(store, "a" * 16)
    assert paribus("sync", "--yes", "--wait", "20").code == 0
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert "1 offline" in paribus("sync", "--dry-run").err
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.url)
    [part] = store.run_dir("a" * 16).glob("wandb/offline-run-*/*.wandb")
    shutil.copytree(part.parent, part.parent.with_name("offline-run-20300101_000000-" + "a" * 16))
    assert "1 offline" in paribus("sync", "--dry-run").err


def test_without_a_key(paribus, wandb_server, store, monkeypatch):
    trained(store, "a" * 16)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", "/dev/null")
    result = paribus("sync", "--yes")
    assert result.code == 2
    assert "wandb login" in result.err

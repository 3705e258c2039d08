"""`paribus runs`: list, filter, sort."""

import json
from datetime import datetime, timedelta, timezone

import pytest
import yaml

from paribus.store.record import Record
from paribus.store.store import Store


@pytest.fixture
def store(tmp_path):
    """Three runs: one done, one failed, one whose process is gone."""
    store = Store(tmp_path / "outputs")
    rows = [
        ("aa11", "done", 1, {"norm": "batch", "optimizer.lr": 0.1}, {"test/acc": 0.9}),
        ("bb22", "failed", 30, {"norm": "layer", "optimizer.lr": 0.2}, {}),
        ("cc33", "running", 50, {"norm": "batch+weight"}, {"test/acc": float("nan")}),
    ]
    for number, (id, status, hours, choices, metrics) in enumerate(rows):
        created = (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat(timespec="seconds")
        arm = choices["norm"]
        record = Record(id, status, "norms", arm, number, choices=choices, metrics=metrics, created=created)
        store.write(record)
        (store.run_dir(id) / "config.yaml").write_text(yaml.safe_dump({"data": {"validation": 0.2, "noisy": False}}))
    return store


def listed(result):
    assert result.code == 0, result.err
    return [line.split()[0] for line in result.out.splitlines()[1:-1]]


def test_all_runs_the_newest_first(paribus, store):
    result = paribus("runs")
    assert listed(result) == ["aa11", "bb22", "cc33"]
    assert result.out.splitlines()[-1] == "3 runs: 1 done, 1 failed, 1 interrupted"
    assert "90.00 %" in result.out
    assert "1 d 6 h" in result.out


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["norm=batch"], ["aa11"]),
        (["norm=batch,layer"], ["aa11", "bb22"]),
        (["norm=batch*"], ["aa11", "cc33"]),
        (["norm=batch*", "status=done"], ["aa11"]),
        (["status=interrupted"], ["cc33"]),
        (["optimizer.lr=1e-1"], ["aa11"]),
        (["ablation=norms", "seed=1"], ["bb22"]),
        (["data.validation=0.2", "data.noisy=false", "arm=layer"], ["bb22"]),
        (["id=c*"], ["cc33"]),
        (["--newer", "2d"], ["aa11", "bb22"]),
        (["--older", "12h", "--newer", "1.5d"], ["bb22"]),
        (["--sort=seed", "-n", "2"], ["aa11", "bb22"]),
        (["--sort=-optimizer.lr"], ["bb22", "aa11", "cc33"]),
        (["status=diverged"], []),
    ],
)
def test_filters(paribus, store, filters, expected):
    assert listed(paribus("runs", *filters)) == expected


def test_while_a_process_trains_it_a_run_is_running(paribus, store):
    with store.lock("cc33"):
        assert listed(paribus("runs", "status=running")) == ["cc33"]


def test_runs_for_programs(paribus, store):
    runs = json.loads(paribus("runs", "--json", "--sort=test/acc").out)
    assert [(run["id"], run["state"]) for run in runs] == [
        ("aa11", "done"),
        ("cc33", "interrupted"),
        ("bb22", "failed"),
    ]
    assert runs[1]["metrics"] == {"test/acc": "nan"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["norn=batch"], "Did you mean norm?"),
        (["batch"], "a filter is KEY=VALUE"),
        (["--newer", "soon"], "90s, 15min, 2h, 1d"),
        (["--sort=test/ac"], "test/acc"),
    ],
)
def test_mistakes(paribus, store, arguments, said):
    result = paribus("runs", *arguments)
    assert result.code == 2
    assert said in result.err


def test_no_runs_at_all(paribus):
    assert paribus("runs", "norm=batch").out.endswith("0 runs\n")


def test_a_run_is_marked_as_invalid_and_the_mark_is_taken_back(paribus, store):
    before = (store.run_dir("aa11") / "record.json").read_text()
    assert "left out of all tables" in paribus("runs", "--exclude", "aa", "--why", "the disk was full").out
    assert store.read("aa11").excluded == "the disk was full"
    assert listed(paribus("runs", "excluded=*disk*")) == ["aa11"]
    assert "part of the tables again" in paribus("runs", "--include", "aa11").out
    assert (store.run_dir("aa11") / "record.json").read_text() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exclude", "aa11"], "excluded for a reason in words, got None"),
        (["--exclude", "aa11", "--why", " "], "--why"),
        (["--why", "x"], "--why is the reason of --exclude RUN"),
        (["--include", "aa11", "--why", "x"], "--include needs none"),
        (["--exclude", "bb22", "--why", "x"], "only a run that has ended is part of a table, and bb22 is failed"),
        (["--exclude", "zz", "--why", "x"], "no run in"),
        (["norm=batch", "--exclude", "aa11", "--why", "x"], "mark a run and list none"),
    ],
)
def test_mistakes_in_marking(paribus, store, words, message):
    result = paribus("runs", *words)
    assert (result.code, message in result.err) == (2, True), result.err

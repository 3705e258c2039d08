"""The last word of a training says what W&B has not got, and the command that uploads it."""

import pytest

from paribus.extras.wandb.access import base_url
from paribus.extras.wandb.afterword import afterword
from paribus.extras.wandb.parts import UNSENT, Upload, mark
from paribus.store.record import Record
from paribus.store.store import Store

IDS = ["a" * 16, "b" * 16, "c" * 16]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Two runs that were logged offline, and one that was not."""
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    store = Store(tmp_path / "outputs")
    for id in IDS:
        store.write(Record(id, "done", seed=0))
    for id in IDS[:2]:
        part = store.run_dir(id) / "wandb" / f"offline-run-20260101_000000-{id}" / f"run-{id}.wandb"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"1234")
    return store


def test_it_names_the_ablation_as_it_was_trained(store):
    overrides = ["ablation=demo", "budget.epochs=1", "paths.outputs=my runs"]
    assert afterword(store, IDS, overrides) == (
        "W&B has not got 2 of these 3 runs. To upload: "
        "paribus sync ablation=demo budget.epochs=1 'paths.outputs=my runs'"
    )
    # Without an ablation sync takes the place of the records, and nothing else.
    assert afterword(store, IDS, ["norm=none,layer", *overrides[2:]]).endswith("paribus sync 'paths.outputs=my runs'")
    assert afterword(store, IDS[:1], []) == "W&B has not got this run. To upload: paribus sync"


def test_it_says_why(store, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "runs (WANDB_MODE=offline)" in afterword(store, IDS, [])
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", "/dev/null")
    assert f"runs: there is no key for {base_url()}" in afterword(store, IDS, [])


def test_a_run_whose_end_did_not_arrive_is_counted(store):
    (store.run_dir(IDS[2]) / "wandb").mkdir()
    (store.run_dir(IDS[2]) / "wandb" / UNSENT).touch()
    assert "3 of these 3 runs" in afterword(store, IDS, [])
    mark(store, Upload(store.read(IDS[2]), None, {}, "paribus", None, []), base_url(), f"me/paribus/{IDS[2]}")
    assert "2 of these 3 runs" in afterword(store, IDS, [])


def test_it_says_nothing_of_runs_that_arrived_or_never_logged_to_wandb(store):
    assert afterword(store, IDS[2:], []) is None
    for id in IDS[:2]:
        parts = list(store.run_dir(id).glob("wandb/offline-run-*/*.wandb"))
        mark(store, Upload(store.read(id), None, {}, "paribus", None, parts), base_url(), f"me/paribus/{id}")
    assert afterword(store, IDS, []) is None

"""The common part of importers: rows become histories, and no run counts twice."""

import math
import re

from paribus.extras.exchange.adopted import (
    Adopted,
    Adoption,
    adopted_id,
    diverged,
    last_values,
    leaves,
    merged,
    trained,
    without_repeats,
    write,
)
from paribus.store.record import Record
from paribus.store.store import Store


def test_ids_never_meet_our_own():
    id = adopted_id("hydra", "multirun", "0")
    assert not re.fullmatch("[0-9a-f]+", id)
    assert id == adopted_id("hydra", "multirun", "0")
    assert len({id, adopted_id("wandb", "multirun", "0"), adopted_id("hydra", "multirun0", "")}) == 3


def test_rows_of_one_step_become_one_row():
    rows = merged(
        [
            {"epoch": 0, "step": 9, "val/acc": 0.5},
            {"epoch": 0, "step": 9, "train/loss_epoch": 1.0, "train/loss_step": 1.1},
            {"lr": 0.1},  # without a step: of the one before
            {"epoch": 1, "step": 19, "val/acc": 0.6},
        ]
    )
    assert rows == [
        {"epoch": 0, "step": 9, "val/acc": 0.5, "train/loss": 1.0, "train/loss_step": 1.1, "lr": 0.1},
        {"epoch": 1, "step": 19, "val/acc": 0.6},
    ]


def test_last_values_and_the_best_on_validation():
    rows = [
        {"step": 1, "epoch": 0, "val/acc": 0.7, "val/loss": 1.0, "train/loss": 2.0},
        {"step": 2, "epoch": 1, "val/acc": 0.6, "val/loss": 0.5},
        {"step": 3, "epoch": 2, "test/acc": 0.65},
    ]
    assert last_values(rows) == {
        **{"val/acc": 0.6, "val/acc_best": 0.7, "val/loss": 0.5, "val/loss_best": 0.5},
        **{"train/loss": 2.0, "test/acc": 0.65},
    }
    assert last_values([{"step": 1, "val/acc": 0.5, "val/acc_best": 0.9}])["val/acc_best"] == 0.9  # its own is kept
    assert trained(rows) == rows[:2]


def test_divergence():
    assert diverged({"train/loss": math.nan})
    assert not diverged({"train/loss": 1.0, "val/loss": math.nan})


def test_leaves():
    assert dict(leaves({"a": {"b": 1, "c": {}}, "d": [1, 2]})) == {"a.b": 1, "a.c": {}, "d": [1, 2]}


def run(name, seed, finished, status="done", sweep="s"):
    record = Record(name, status, seed=seed, choices={"norm": "batch"}, finished=finished)
    return Adopted(record, name, sweep)


def test_of_repeats_of_one_seed_the_newest_counts_and_the_others_are_named():
    runs = [run("old", 0, "2024-01-01"), run("new", 0, "2024-01-02"), run("b", 1, "2024-01-01")]
    runs += [run("failed", 0, "2024-01-03", "failed"), run("elsewhere", 0, "2024-01-01", sweep="t")]
    runs += [run("unseeded", None, "2024-01-01"), run("unseeded too", None, "2024-01-01")]
    found = without_repeats(Adoption(runs))
    assert [each.origin for each in found.runs] == [each.origin for each in runs if each.origin != "old"]
    [note] = found.notes
    assert note == "old: same choices and seed as the newer new. Left out"


def test_a_second_import_replaces_the_first(tmp_path):
    store = Store(tmp_path)
    for value in (0.5, 0.6):
        row = {"epoch": 0.0, "step": 1.0, "val/acc": value}
        write(store, Adopted(Record("hydra-1", "done", metrics={"val/acc": value}), "x", "s", {"seed": 1}, [row]))
    assert store.read("hydra-1").metrics == {"val/acc": 0.6}
    assert store.history("hydra-1") == {"epoch": [0.0], "step": [1.0], "val/acc": [0.6]}
    assert (store.run_dir("hydra-1") / "config.yaml").read_text() == "seed: 1\n"

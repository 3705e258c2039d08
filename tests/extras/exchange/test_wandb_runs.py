"""W&B projects become records, through W&B's own client and a server that answers as W&B does."""

import pytest

from paribus.base.errors import UserError
from paribus.extras.exchange.wandb_runs import adopt_wandb, choices_of, number, rows_of


def put(server, id, config, rows, summary=None, state="finished", **given):
    """A run that W&B holds: config values are wrapped, rows have W&B's own columns."""
    server.runs[f"mine/{id}"] = {
        **{"name": id, "project": "mine", "tags": [], "groupName": None, "jobType": None, "displayName": f"run {id}"},
        **{
            "state": state,
            "config": {key: {"value": value} for key, value in config.items()} | {"_wandb": {"value": {}}},
        },
        "history": {k: {"_step": k, "_runtime": 2.0 * k, "_timestamp": 1e9 + k, **row} for k, row in enumerate(rows)},
        "summary": {"_step": len(rows) - 1, "_runtime": 7.5, **(rows[-1] if rows else {}), **(summary or {})},
        **given,
    }


def config(rate, seed, **more):
    return {"optimizer": {"name": "adam", "lr": rate}, "seed": seed, "model": "cnn", "epochs": 2, **more}


ROWS = [
    {"epoch": 0, "trainer/global_step": 9, "train/loss": 1.0, "val/acc": 0.5},
    {"epoch": 1, "trainer/global_step": 19, "train/loss": 0.5, "val/acc": 0.75},
]


def test_a_project_of_anybodys(wandb_server):
    for number_, (rate, seed) in enumerate([(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1)]):
        places = {"log_dir": f"/home/me/{number_}", "run_name": f"name{number_}"}
        put(wandb_server, f"r{number_}", config(rate, seed, **places), ROWS, {"test/acc": 0.7 + rate + seed / 100})
    # A dashboard keeps its pictures by a run of its own.
    forest = {"forest": {"_type": "image-file", "width": 10, "height": 10}}
    put(wandb_server, "figures-0123456789ab", {}, [forest], jobType="figures")
    read = []
    found = adopt_wandb("me/mine", 10.0, lambda done, of: read.append((done, of)))
    assert found.notes == []
    assert read[-1] == (4, 4)
    first = found.runs[0].record
    assert first.choices == {"optimizer.lr": 0.1, "model": "cnn"}  # what varies, but for seeds and places
    assert [run.record.seed for run in found.runs] == [0, 1, 0, 1]
    assert first.status == "done"
    assert first.metrics == {"train/loss": 0.5, "val/acc": 0.75, "val/acc_best": 0.75, "test/acc": pytest.approx(0.8)}
    assert first.timing["total_seconds"] == 7.5
    assert first.comparable["budget"] == "2 epochs"
    assert first.provenance["imported"] == {"from": "wandb", "run": "me/mine/r0", "name": "run r0", "tags": []}
    assert [(row["step"], row["epoch"], row["seconds"]) for row in found.runs[0].rows] == [(9, 0, 0.0), (19, 1, 2.0)]
    assert len({run.record.id for run in found.runs}) == 4
    assert first.id.startswith("wandb-")


def test_odd_runs_are_named_and_kept(wandb_server):
    put(wandb_server, "crashed", config(0.1, 0), ROWS[:1], state="crashed")
    put(wandb_server, "running", config(0.1, 1), ROWS[:1], state="running")
    put(
        wandb_server,
        "nan",
        config(0.1, 2),
        [*ROWS, {"epoch": 2, "trainer/global_step": 29, "train/loss": float("nan")}],
    )
    put(wandb_server, "empty", config(0.2, 3), [])
    put(
        wandb_server, "unseeded", {"lr": 0.1}, ROWS, {"val/acc": {"max": 0.8}, "note": "words", "image": {"_type": "x"}}
    )
    found = adopt_wandb("me/mine", 10.0)
    records = {run.origin.rsplit("/", 1)[-1]: run.record for run in found.runs}
    states = {name: record.status for name, record in records.items()}
    assert states == {
        **{"crashed": "failed", "running": "failed", "nan": "diverged", "empty": "done", "unseeded": "done"},
    }
    assert records["running"].failure == {"type": "unfinished", "message": "W&B says that it is running"}
    assert records["unseeded"].metrics["val/acc_best"] == 0.8
    assert sorted(note.split(":")[0].rsplit("/", 1)[-1] for note in found.notes) == ["crashed", "running", "unseeded"]


def test_paribus_own_runs_come_back_with_their_choices(wandb_server):
    own = {"choices": {"norm": "layer", "optimizer.lr": 0.1}, "seed": 4, "budget": {"epochs": 2, "updates": None}}
    summary = {"test/acc": 0.5, "ms_per_update": 2.0, "steps": 6, "parameters": 10, "status": "done"}
    put(
        wandb_server,
        "a" * 16,
        own,
        [{"epoch": 1, "step": 3, "seconds": 0.5, "val/acc": 0.4}],
        summary,
        groupName="norm",
    )
    [run] = adopt_wandb("me/mine", 10.0).runs
    record = run.record
    assert (record.choices, record.seed, record.ablation) == (own["choices"], 4, "norm")
    assert (record.timing["ms_per_update"], record.timing["steps"], record.parameters) == (2.0, 6, 10)
    assert "ms_per_update" not in record.metrics
    assert run.rows == [{"epoch": 1, "step": 3, "seconds": 0.5, "val/acc": 0.4}]
    assert record.comparable["budget"] == "2 epochs"


def test_a_run_that_cannot_be_read_does_not_lose_the_others(wandb_server):
    put(wandb_server, "good", config(0.1, 0), ROWS)
    put(wandb_server, "bad", config(0.1, 1), ROWS)
    serve = wandb_server.on_HistoryPage

    def page(given):
        return {"project": None} if given["run"] == "bad" else serve(given)

    wandb_server.on_HistoryPage = page
    found = adopt_wandb("me/mine", 10.0)
    assert [run.origin for run in found.runs] == ["me/mine/good"]
    [note] = found.notes
    assert note.startswith("me/mine/bad: not imported")


@pytest.mark.parametrize("path", ["mine", "me/mine/run", "me/"])
def test_projects_are_written_with_their_entity(path):
    with pytest.raises(UserError, match="ENTITY/PROJECT"):
        adopt_wandb(path, 1.0)


def test_projects_that_cannot_be_read(wandb_server):
    with pytest.raises(UserError, match="has none"):
        adopt_wandb("me/mine", 5.0)
    wandb_server.failure = "404"
    with pytest.raises(UserError, match="can't be read"):
        adopt_wandb("me/mine", 5.0)


def test_rows_and_numbers():
    assert rows_of(iter([{"_step": 3, "_runtime": 1.5, "loss": "NaN", "text": "x", "flag": True}]))[0]["step"] == 3
    assert number("x") is None
    assert number(True) is None


def test_choices_are_what_runs_differ_in():
    configs = [{"a": {"b": 1}, "c": [1, 2], "seeds": {"init": 1}, "same": 3}, {"a": {"b": 2}, "c": [1, 2], "same": 3}]
    assert choices_of(configs) == [{"a.b": 1}, {"a.b": 2}]


@pytest.mark.slow
def test_import_and_table_of_a_project(paribus, wandb_server):
    for k, (rate, seed) in enumerate([(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1)]):
        put(wandb_server, f"r{k}", config(rate, seed), ROWS, {"test/acc": 0.7 + rate + seed / 100})
    result = paribus("import", "wandb:me/mine", "--wait", "10")
    assert result.code == 0, result.err
    assert "imported 4 runs" in result.err
    table = paribus("table")
    assert table.code == 0, table.err
    assert "80.50" in table.out
    assert "71.50" in table.out
    assert paribus("figures").code == 0

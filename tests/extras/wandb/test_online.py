"""W&B online against a server on a loopback port, and against servers that fail: training and records never suffer."""

import math
import time

import pytest
from pytorch_lightning.loggers import CSVLogger

from paribus.extras.wandb.check import difference, number
from paribus.extras.wandb.limits import labels
from paribus.extras.wandb.logger import SafeWandbLogger, wandb_logger
from paribus.extras.wandb.parts import UNSENT
from paribus.run.loggers import finish
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "logger=wandb"]
TOGETHER = ["trainer.threads=1", "hydra.launcher.slots=1"]  # all members in one stack
SLACK = 15.0  # seconds that starting a client may take on a busy machine; a server that hangs does so for a minute


def run(id="abc", arm="batch", seed=0):
    return {"id": id, "group": "norm", "arm": arm, "seed": seed, "tags": ["a"], "config": {"seed": seed}}


def agrees(server, store, record):
    kept = server.run(record.id)
    rows = [row for _, row in sorted(kept["history"].items())]
    return not difference(record, store.history(record.id), rows, kept["summary"])


def test_an_online_ablation_is_grouped_by_arm_and_agrees_with_its_records(paribus, wandb_server, tmp_path):
    result = paribus("train", "-m", *QUICK, "norm=none,layer", "seed=range(2)", "logger.wandb.wait=40", "tags=[a]")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    records = list(store.scan())
    assert set(wandb_server.runs) == {f"paribus/{record.id}" for record in records}
    for record in records:
        kept, wanted = wandb_server.run(record.id), labels(record.id, "norm", record.arm, record.seed, ["a"])
        assert (kept["groupName"], kept["jobType"]) == ("norm", record.choices["norm"])
        assert (kept["displayName"], tuple(kept["tags"])) == (wanted.name, wanted.tags)
        assert (kept["state"], kept["exitcode"]) == ("finished", 0)
        assert kept["config"]["seed"]["value"] == record.seed
        assert agrees(wandb_server, store, record)


def test_a_resumed_run_continues_its_wandb_run(wandb_server, tmp_path):
    """Rows that W&B has are not sent again, the last step's excepted, which may have been cut off between two rows."""
    first = wandb_logger(run(), tmp_path, project="paribus", wait=40.0)
    for step in (3, 6, 9):
        first.log_metrics({"train/loss": 1 / step}, step)
    finish([first], failed=True)
    assert wandb_server.run("abc")["exitcode"] == 1
    again = wandb_logger(run(), tmp_path, project="paribus", wait=40.0)
    assert again.experiment.resumed
    for step in (6, 9, 12):
        again.log_metrics({"train/loss": 1 / step}, step)
    finish([again], failed=False, summary={"test/acc": 0.5})
    kept = wandb_server.run("abc")
    assert [row["step"] for _, row in sorted(kept["history"].items())] == [3, 6, 9, 9, 12]
    assert (kept["exitcode"], kept["state"], kept["summary"]["test/acc"]) == (0, "finished", 0.5)
    assert len(wandb_server.runs) == 1


def test_runs_of_one_process_can_be_live_at_once(wandb_server, tmp_path):
    """Members of a stack: each has a W&B run of its own, and ends when it ends."""
    members = [wandb_logger(run(f"m{k}", seed=k), tmp_path / f"m{k}", project="paribus", wait=40.0) for k in range(3)]
    for step in (1, 2):
        for k, member in enumerate(members):
            member.log_metrics({"train/loss": float(10 * k + step)}, step)
    finish([members[1]], failed=True, summary={"status": "failed"})
    for k in (0, 2):
        members[k].log_metrics({"train/loss": float(10 * k + 3)}, 3)
    finish([members[0], members[2]], failed=False, summary={"status": "done"})
    losses = {k: [row["train/loss"] for row in wandb_server.run(f"m{k}")["history"].values()] for k in range(3)}
    assert losses == {0: [1, 2, 3], 1: [11, 12], 2: [21, 22, 23]}
    assert [wandb_server.run(f"m{k}")["exitcode"] for k in range(3)] == [0, 1, 0]


@pytest.mark.parametrize("failure", ["refuse", "500", "hang", "drop"])
def test_a_server_that_fails_at_the_start_costs_the_stated_time_and_nothing_else(
    paribus, wandb_server, tmp_path, failure
):
    if failure == "refuse":
        wandb_server.refuse()
    else:
        wandb_server.failure = failure
    result = paribus("train", *QUICK, "logger.wandb.wait=4")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert record.status == "done"
    assert record.timing["total_seconds"] < 4 + SLACK + record.timing["fit_seconds"]
    assert "goes on offline" in (store.run_dir(record.id) / "train.log").read_text()
    assert list(store.run_dir(record.id).glob("wandb/offline-run-*/*.wandb"))  # paribus sync uploads it
    plain = paribus("train", *QUICK[:-1], "paths.outputs=plain")
    assert plain.code == 0, plain.err
    assert Store(tmp_path / "plain").read(record.id).metrics == record.metrics


@pytest.mark.parametrize("failure", ["500", "hang", "drop"])
def test_a_server_that_fails_in_the_middle_holds_up_the_end_by_the_stated_time(wandb_server, tmp_path, caplog, failure):
    wandb_server.failure = lambda path: failure if path.endswith("file_stream") else None
    logger = wandb_logger(run(), tmp_path, project="paribus", wait=4.0)
    assert isinstance(logger, SafeWandbLogger)
    started = time.monotonic()
    for step in range(200):
        logger.log_metrics({"train/loss": float(step)}, step)
    assert time.monotonic() - started < SLACK  # no row waits for the server
    started = time.monotonic()
    finish([logger], failed=False, summary={"test/acc": 0.5})
    assert time.monotonic() - started < 2.0 + SLACK
    assert "paribus sync" in caplog.text
    assert (tmp_path / "wandb" / UNSENT).exists()  # training ends with it
    [file] = tmp_path.glob("wandb/run-*/*.wandb")
    assert file.stat().st_size > 10_000  # everything is kept
    # The next run of this process does not wait for the same server again.
    started = time.monotonic()
    following = wandb_logger(run("next"), tmp_path / "next", project="paribus", wait=4.0)
    finish([following], failed=False)
    assert time.monotonic() - started < SLACK
    assert list((tmp_path / "next").glob("wandb/offline-run-*"))


def test_a_server_that_fails_between_the_question_and_the_start(wandb_server, tmp_path, caplog):
    """It answers, and then hangs: the start is given up after its share of the time."""
    asked = []
    wandb_server.failure = lambda path: "hang" if asked or asked.append(path) else None
    started = time.monotonic()
    logger = wandb_logger(run(), tmp_path, project="paribus", wait=4.0)
    assert time.monotonic() - started < 2.0 + SLACK
    assert isinstance(logger, CSVLogger)
    assert "W&B could not start" in caplog.text


def test_a_diverged_run_says_so(paribus, wandb_server, tmp_path):
    result = paribus("train", *QUICK, "optimizer.lr=1e30", "logger.wandb.wait=40")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert record.status == "diverged"
    kept = wandb_server.run(record.id)
    assert kept["summary"]["status"] == "diverged"
    assert not math.isfinite(number(kept["summary"]["train/loss"]))
    assert agrees(wandb_server, store, record)


@pytest.mark.needs("stack")
def test_each_member_of_a_stack_has_its_own_run(paribus, wandb_server, tmp_path):
    result = paribus("train", "-m", *QUICK, *TOGETHER, "stack=3", "seed=range(3)", "logger.wandb.wait=40")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    records = list(store.scan())
    assert [record.timing["stack"] for record in records] == [3, 3, 3]
    for record in records:
        assert wandb_server.run(record.id)["exitcode"] == 0
        assert agrees(wandb_server, store, record)


@pytest.mark.slow
def test_a_stack_waits_for_a_server_that_hangs_once_and_not_for_each_member(paribus, wandb_server, tmp_path):
    wandb_server.failure = lambda path: "hang" if path.endswith("file_stream") else None
    started = time.monotonic()
    result = paribus("train", "-m", *QUICK, *TOGETHER, "stack=8", "seed=range(8)", "logger.wandb.wait=32")
    assert result.code == 0, result.err
    assert time.monotonic() - started < 7 * 16  # half of 32 seconds for each would be more
    assert [record.status for record in Store(tmp_path / "outputs").scan()] == ["done"] * 8

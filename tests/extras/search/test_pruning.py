"""Pruned trials: the decisions are Optuna's own, the records say so, and nobody takes them for results."""

import json
import math
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from paribus.extras.search.offers import callbacks
from paribus.store.history import HistoryWriter
from paribus.store.record import Record
from paribus.store.store import Store

EPOCHS = 9
SEARCH = ["hydra/sweeper=optuna", "hydra/sweeper/sampler=random"]
SPACE = "optimizer.lr=tag(log,interval(0.001,0.5))"


def curve(rate):
    """Rises to a height that the rate decides, some slowly."""
    height = 1 / (1 + math.log10(rate / 0.05) ** 2)
    return [height * (1 - math.exp(-epoch * (0.3 + 20 * rate))) for epoch in range(1, EPOCHS + 1)]


class Pruned(Exception):
    pass


class FakeLoop(SimpleNamespace):
    def prune(self, why, study):
        raise Pruned(why, study)


def train(run):
    """Trains a curve, with the callbacks that a run would have."""
    store, watching = Store(run.paths.outputs), callbacks(run)
    store.run_dir(run.id).mkdir(parents=True, exist_ok=True)
    history = HistoryWriter(store.run_dir(run.id) / "history.csv")
    record = Record(run.id, "done", seed=run.seed)
    data = SimpleNamespace(exhausted=False, cursor=SimpleNamespace(epoch=0))
    loop = FakeLoop(data=data, journal=SimpleNamespace(history=history))
    for epoch, value in enumerate(curve(run.optimizer["lr"]), 1):
        data.cursor.epoch, data.exhausted = epoch, epoch == EPOCHS
        row = {"val/acc_best": value}
        history.append({"epoch": epoch, "step": epoch, **row})
        record.metrics = row
        try:
            for each in watching:
                each.on_validated(loop, row)
        except Pruned as stop:
            record.status, record.failure = "pruned", {"type": "pruned", "message": stop.args[0], "study": stop.args[1]}
            break
    history.close()
    store.write(record)
    return record


def stored(outputs):
    [name] = optuna.get_all_study_names(f"sqlite:///{outputs}/searches.db")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{outputs}/searches.db")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "pruner"),
    [
        ("median", optuna.pruners.MedianPruner(n_startup_trials=5)),
        pytest.param("hyperband", optuna.pruners.HyperbandPruner(1, "auto", 3), marks=pytest.mark.slow),
    ],
)
def test_the_same_trials_are_pruned_as_by_optuna_itself(searched, paribus, option, pruner):
    """Trial after trial in one process, with the storage at hand in the training: Optuna's documented way."""
    result = searched(train, *SEARCH, f"hydra/sweeper/pruner={option}", "hydra.sweeper.n_trials=25", SPACE)
    assert result.code == 0, result.err
    ours = stored("outputs")

    def objective(trial):
        rate = trial.suggest_float("optimizer.lr", 0.001, 0.5, log=True)
        for epoch, value in enumerate(curve(rate), 1):
            trial.report(value, epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return value

    theirs = optuna.create_study(study_name=ours.study_name, direction="maximize", pruner=pruner)
    for trial in ours.trials:
        theirs.enqueue_trial(trial.params)
    theirs.optimize(objective, n_trials=25)
    pruned = [trial.number for trial in theirs.trials if trial.state == TrialState.PRUNED]
    assert 3 <= len(pruned) <= 22
    assert [trial.number for trial in ours.trials if trial.state == TrialState.PRUNED] == pruned
    assert [trial.intermediate_values for trial in ours.trials] == [t.intermediate_values for t in theirs.trials]
    assert ours.best_value == theirs.best_value
    assert f"{len(pruned)} trials were pruned, and their runs are no results" in result.err
    assert f"trial {pruned[0] + 1} of 25" in result.err
    states = json.loads(paribus("search", ours.study_name, "--json").out)["trials"]
    assert [trial["number"] for trial in states if trial["state"] == "pruned"] == pruned


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [4, 1])
def test_a_search_that_was_killed_prunes_the_same_trials(searched, jobs):
    calls = 0

    def killed(run):
        nonlocal calls
        calls += 1
        if calls == 11:
            raise KeyboardInterrupt
        return train(run)

    search = [*SEARCH, "hydra/sweeper/pruner=median", "hydra.sweeper.n_trials=16", f"hydra.sweeper.n_jobs={jobs}"]
    assert searched(killed, *search, SPACE).code == 130
    assert searched(train, *search, SPACE).code == 0
    assert searched(train, *search, SPACE, "paths.outputs=elsewhere").code == 0
    first, second = (
        [(trial.params, trial.state, trial.intermediate_values) for trial in stored(place).trials]
        for place in ("outputs", "elsewhere")
    )
    assert first == second
    assert TrialState.PRUNED in [state for _, state, _ in first]


@pytest.mark.slow
def test_other_seeds_are_trained_of_trials_that_come_through(searched):
    search = [*SEARCH, "hydra/sweeper/pruner=median", "hydra.sweeper.n_trials=10", "hydra.sweeper.seeds=2"]
    assert searched(train, *search, SPACE).code == 0
    pruned = [trial.state == TrialState.PRUNED for trial in stored("outputs").trials]
    assert any(pruned)
    runs = [len(trial.user_attrs["runs"]) for trial in stored("outputs").trials]
    assert runs == [1 if each else 2 for each in pruned]
    seeds = [record.seed for record in Store("outputs").scan()]
    assert seeds.count(0) == 10
    assert seeds.count(1) == 10 - sum(pruned)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hydra.sweeper.objectives=[val/acc_best,val/loss_best]", "pruning goes by one objective"),
        ("optimized_metric=test/acc", "pruning goes by the validation, got the objective test/acc"),
        ("callbacks=[none]", "callbacks=[default]"),
    ],
)
def test_what_can_not_be_pruned_is_said_first(searched, setting, said):
    result = searched(train, *SEARCH, "hydra/sweeper/pruner=median", SPACE, setting)
    assert result.code == 2, result.err
    assert said in result.err


# ------------------------------------------------------------------------------------------ real training

QUICK = ["model=mlp", "model.width=8", "norm=none", "data.subset=100", "data.batch_size=20", "budget.epochs=6"]
REAL = [
    *("train", "-m", "hydra/sweeper=optuna", *QUICK, "optimizer.lr=0.1,0.0001", "hydra/sweeper/sampler=random"),
    *("hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.n_trials=3"),
]


@pytest.mark.parametrize("launcher", ["paribus", pytest.param("basic", marks=pytest.mark.slow)])
def test_a_pruned_run_says_so_counts_nowhere_and_goes_on_when_somebody_wants_it(paribus, tmp_path, launcher):
    result = paribus(*REAL, f"hydra/launcher={launcher}", "hydra.sweeper.sampler.seed=3")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [pruned] = [record for record in store.scan() if record.status == "pruned"]
    assert pruned.choices["optimizer.lr"] == 0.0001
    assert pruned.failure["type"] == "pruned"
    assert pruned.failure["message"].startswith("pruned after epoch ")
    assert not any("pruning" in key for key in pruned.choices)
    assert len(store.history(pruned.id)["epoch"]) < 6
    assert "test/acc" not in pruned.metrics
    assert "1 pruned" in paribus("runs").out
    assert len(json.loads(paribus("runs", "status=pruned", "--json").out)) == 1
    table = paribus("table", "--format", "csv").out
    assert "0.0001" not in table
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "# @package _global_\n# Rates.\ndefaults:\n  - override /model: mlp\n  - override /norm: [none]\n"
        "model: {width: 8}\ndata: {subset: 100, batch_size: 20}\nbudget: {epochs: 6}\n"
        "ablation: {name: rates, factors: {optimizer.lr: [0.1, 0.0001]}, seeds: 1}\n"
    )
    assert "1 done, 1 pruned" in paribus("status", "ablation=rates").out
    assert "1 not trained yet" in paribus("table", "ablation=rates").out
    # The same run to its end: as if it had never been pruned.
    assert paribus("train", *QUICK, "optimizer.lr=0.0001").code == 0
    ended = store.read(pruned.id)
    assert ended.status == "done"
    assert ended.failure is None
    whole = paribus("train", *QUICK, "optimizer.lr=0.0001", "paths.outputs=other")
    assert whole.code == 0, whole.err
    other = Store(tmp_path / "other")
    assert other.read(pruned.id).metrics == ended.metrics
    rows, again = store.history(pruned.id), other.history(pruned.id)
    assert {k: v for k, v in rows.items() if k != "seconds"} == {k: v for k, v in again.items() if k != "seconds"}


def test_a_run_that_another_search_has_pruned_is_trained_to_its_end(paribus, tmp_path):
    search = [*REAL, "hydra/launcher=basic", "hydra.sweeper.sampler.seed=3"]
    assert paribus(*search).code == 0
    [pruned] = [record.id for record in Store(tmp_path / "outputs").scan() if record.status == "pruned"]
    without = [item for item in search if "pruner" not in item]
    assert paribus(*without).code == 0
    assert Store(tmp_path / "outputs").read(pruned).status == "done"


@pytest.mark.slow
def test_a_search_that_was_killed_with_its_process_ends_as_if_it_had_not(tmp_path):
    """SIGKILL in the middle of real trainings, several at a time, with pruning and two seeds for each trial."""
    search = [
        *("train", "-m", "hydra/sweeper=optuna", *QUICK[:-1], "budget.epochs=40", SPACE, "hydra/sweeper/pruner=median"),
        *("hydra.sweeper.pruner.n_startup_trials=2", "hydra.sweeper.seeds=2", "hydra.sweeper.n_trials=10"),
        *("hydra.sweeper.n_jobs=2", "hydra.launcher.slots=2"),
    ]

    def command(outputs):
        return subprocess.Popen([sys.executable, "-m", "paribus", *search, f"paths.outputs={outputs}"], cwd=tmp_path)

    for done in (2, 5):
        process = command("killed")
        while process.poll() is None and sum(trial.state.is_finished() for trial in begun(tmp_path / "killed")) < done:
            time.sleep(1)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert command("killed").wait() == 0
    assert command("whole").wait() == 0

    def told(place):
        return [(t.params, t.state, t.values, t.intermediate_values, t.user_attrs["runs"]) for t in begun(place)]

    assert told(tmp_path / "killed") == told(tmp_path / "whole")
    records = [
        {record.id: (record.status, record.metrics) for record in Store(tmp_path / place).scan()}
        for place in ("killed", "whole")
    ]
    assert records[0] == records[1]


def begun(outputs):
    """The trials so far; none before there is a study."""
    try:
        return stored(outputs).trials
    except Exception:  # the file or its tables are being made
        return []

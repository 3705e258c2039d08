"""Studies of Optuna over recorded runs. Training is replaced by a formula here; tests/cli/test_sweeps.py trains."""

import json
import math

import pytest

from paribus.store.record import Record
from paribus.store.store import Store

STUDY = [
    *("train", "-m", "hparams_search=optuna", "hydra/launcher=basic", "hydra.sweeper.n_trials=8"),
    *("hydra.sweeper.sampler.n_startup_trials=3", "~hydra.sweeper.params.batch_size"),
]


class Training:
    """Counts the runs; val/acc is best at a rate of 0.05. `act` may raise, or return another value."""

    def __init__(self):
        self.trained = []
        self.act = lambda number, rate: None

    def __call__(self, run, choices, overrides):
        rate = run.optimizer["lr"]
        self.trained.append(rate)
        value = self.act(len(self.trained), rate)
        value = 1.0 / (1.0 + math.log10(rate / 0.05) ** 2) if value is None else value
        record = Record(run.id, "done", arm=run.arm, metrics={"val/acc_best": value}, choices={"optimizer.lr": rate})
        Store(run.paths.outputs).write(record)
        return record


@pytest.fixture
def training(monkeypatch, paribus):
    training = Training()
    monkeypatch.setattr("paribus.sweep.composed.dispatch", training)
    return training


def trials(result):
    return [line.split(": ", 1)[1] for line in result.err.splitlines() if line.startswith("trial ")]


def test_the_same_command_goes_on_with_a_study_that_was_killed(paribus, training, monkeypatch):
    """As if it had not been: the same trials, each trained once, and 8 of them in all."""

    def killed(number, rate):
        if number == 5:
            raise KeyboardInterrupt

    training.act = killed
    assert paribus(*STUDY).code == 130
    training.act = lambda number, rate: None
    resumed = paribus(*STUDY)
    assert resumed.code == 0, resumed.err
    assert [line.endswith("(recorded)") for line in trials(resumed)] == [True] * 4 + [False] * 4
    assert training.trained[4] == training.trained[5]  # the killed one
    assert len(training.trained) == 9

    training.trained.clear()
    monkeypatch.setenv("PARIBUS_OUTPUTS", "elsewhere")
    whole = paribus(*STUDY)
    assert [line.removesuffix("  (recorded)") for line in trials(resumed)] == trials(whole)
    assert len(training.trained) == 8
    best = min(training.trained, key=lambda rate: abs(math.log10(rate / 0.05)))
    assert f"best of 8 trials: {1 / (1 + math.log10(best / 0.05) ** 2):.6g}" in whole.err


@pytest.mark.slow
def test_a_longer_study_begins_with_the_shorter_one(paribus, training):
    paribus(*STUDY)
    longer = paribus(*STUDY, "hydra.sweeper.n_trials=10")
    assert [line.endswith("(recorded)") for line in trials(longer)] == [True] * 8 + [False] * 2


@pytest.mark.slow
def test_a_trial_that_fails_is_reported_and_tried_again_by_the_same_command(paribus, training):
    def broken(number, rate):
        if number == 3:
            raise RuntimeError("no memory")

    training.act = broken
    result = paribus(*STUDY)
    assert result.code == 0, result.err
    assert len(training.trained) == 8
    assert "1 trials failed; the same command tries them again" in result.err
    assert "RuntimeError: no memory" in result.err
    assert "best of 7 trials" in result.err
    again = paribus(*STUDY)
    assert "best of 8 trials" in again.err
    assert training.trained[8] == training.trained[2]


@pytest.mark.slow
def test_a_study_in_which_everything_fails_fails(paribus, training):
    def broken(number, rate):
        raise RuntimeError("no memory")

    training.act = broken
    result = paribus(*STUDY)
    assert result.code == 1
    assert "8 runs failed" in result.err


@pytest.mark.slow
def test_a_trial_without_a_number_is_the_worst_and_no_failure(paribus, training):
    training.act = lambda number, rate: math.nan if number == 1 else None
    result = paribus(*STUDY)
    assert result.code == 0, result.err
    assert "val/acc_best -inf" in result.err
    assert "best of 8 trials" in result.err


@pytest.mark.slow
def test_several_trials_at_a_time_are_one_batch_of_the_launcher(paribus, training, tmp_path):
    result = paribus(*STUDY, "hydra.sweeper.n_jobs=3")
    assert result.code == 0, result.err
    assert len(training.trained) == 8
    [sweep] = tmp_path.glob("outputs/sweeps/*/sweep.json")
    [plan] = json.loads(sweep.read_text())["plans"]
    assert plan["name"] == "search of optimizer.lr x optimizer.weight_decay"
    assert sorted(id for [id] in plan["arms"].values()) == Store(tmp_path / "outputs").ids()
    again = paribus(*STUDY, "hydra.sweeper.n_jobs=3")
    assert all(line.endswith("(recorded)") for line in trials(again))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hydra.sweeper.storage=sqlite:///a.db", "goes on from the records"),
        ("hydra.sweeper.sampler.seed=null", "hydra.sweeper.sampler.seed=0"),
        ("optimized_metric=val/f1", "must be a metric that the run measures, got 'val/f1'"),
        ("optimized_metric=lr", "must be a metric that the run measures, got 'lr'"),
        ("task.metrics.acc.better=null", "task.metrics.acc.better=higher"),
        ("hydra.sweeper.direction=minimize", "direction is minimize, but val/acc_best has the direction maximize"),
        ("hydra.sweeper.direction=[maximize,minimize]", "but val/acc_best has the direction maximize"),
    ],
)
def test_settings_that_a_study_can_not_have(paribus, training, setting, said):
    result = paribus(*STUDY, setting)
    assert result.code == 2, result.err
    assert said in result.err
    assert not training.trained


@pytest.mark.slow
def test_a_metric_that_no_run_records_fails_every_trial(paribus, training):
    result = paribus(*STUDY, "optimized_metric=test/acc")
    assert result.code == 1
    assert "optimized_metric=test/acc is not in the record" in result.err


def test_the_direction_of_a_study_is_that_of_its_metric(paribus, monkeypatch):
    """The best of the last line, and the samples: later ones lie where the metric is good."""
    values = {}

    def train(run, choices, overrides):
        rate = run.optimizer["lr"]
        value = values[rate] = abs(math.log10(rate / 0.05))
        record = Record(run.id, "done", metrics={"val/loss_best": value})
        Store(run.paths.outputs).write(record)
        return record

    monkeypatch.setattr("paribus.sweep.composed.dispatch", train)
    result = paribus(*STUDY, "optimized_metric=val/loss_best")
    assert result.code == 0, result.err
    assert f"best of 8 trials: {min(values.values()):.6g}" in result.err
    found = list(values.values())
    assert sum(found[-4:]) < sum(found[:4])  # the sampler went the right way


@pytest.mark.slow
def test_a_direction_that_agrees_is_said_to_be_gone(paribus, training):
    result = paribus(*STUDY, "hydra.sweeper.direction=maximize")
    assert result.code == 0, result.err
    assert result.err.count("hydra.sweeper.direction was removed") == 1


def test_the_sweeper_of_the_plugin_knows_no_direction_and_is_refused(paribus, training):
    launcher = "hydra/launcher=paribus"
    result = paribus("train", "-m", "hydra/sweeper=optuna", launcher, "optimizer.lr=interval(0.01,0.1)")
    assert result.code == 2, result.err
    assert "hparams_search=optuna" in result.err
    assert not training.trained


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("+model.api_key=hunter2a,hunter2b", "+model.api_key=***"),
        ("+hydra.sweeper.params={model.token: 'choice(hunter2a,hunter2b)'}", "model.token=***"),
        ("+model.url='https://me:hunter2a@host','https://me:hunter2b@host'", "https://***@host"),
    ],
)
def test_a_secret_is_not_searched_over(paribus, training, override, shown, tmp_path):
    """Optuna would write the best one into optimization_results.yaml."""
    result = paribus(*STUDY, override)
    assert result.code == 2
    assert "searches over a secret" in result.err
    assert shown in result.err
    assert not training.trained
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert not [path for path in written if ".hydra" not in path.parts]

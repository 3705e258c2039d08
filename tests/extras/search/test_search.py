"""Searches over recorded runs. A formula stands in for training here; test_pruning.py and test_sweeps.py train."""

import json
import math

import optuna
import pytest

from paribus.store.lock import exclusive
from paribus.store.record import Record
from paribus.store.store import Store

TRAIN = ("train", "-m", "hydra/launcher=basic")
SEARCH = ["hparams_search=optuna", "~hydra.sweeper.params.batch_size"]
EIGHT = "hydra.sweeper.n_trials=8"
STUDY = [*SEARCH, EIGHT, "hydra.sweeper.sampler.n_startup_trials=3"]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


class Training:
    """Counts the runs; val/acc is best at a rate of 0.05. `act` may raise, or return another value."""

    def __init__(self):
        self.trained = []
        self.act = lambda number, rate: None

    def __call__(self, run, choices=None, overrides=None, node=None):
        rate = run.optimizer["lr"]
        self.trained.append(rate)
        value = self.act(len(self.trained), rate)
        value = 1.0 / (1.0 + math.log10(rate / 0.05) ** 2) if value is None else value
        metrics = {"val/acc_best": value, "val/loss_best": rate}
        record = Record(run.id, "done", arm=run.arm, metrics=metrics, choices={"optimizer.lr": rate}, parameters=7)
        Store(run.paths.outputs).write(record)
        return record


@pytest.fixture
def training():
    return Training()


@pytest.fixture
def search(searched, training):
    """A search in this process, with the formula for trainings."""
    return lambda *arguments: searched(training, *arguments)


def trials(result):
    return [line.split(": ", 1)[1] for line in result.err.splitlines() if line.startswith("trial ")]


def kill_at(calls):
    def act(number, rate):
        if number == calls:
            raise KeyboardInterrupt

    return act


def asked_for(storage="outputs/searches.db"):
    """The values of all trials of the one study of a storage, in order, and their states."""
    [name] = optuna.get_all_study_names(f"sqlite:///{storage}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{storage}")
    return [tuple(trial.params.values()) for trial in study.trials], [trial.state.name for trial in study.trials]


def test_the_same_command_goes_on_with_a_search_that_was_killed(search, training):
    """As if it had not been: the same trials, each trained once, and 8 of them in all."""
    training.act = kill_at(5)
    assert search(*STUDY).code == 130
    assert asked_for()[1] == ["COMPLETE"] * 4 + ["RUNNING"]
    training.act = lambda number, rate: None
    resumed = search(*STUDY)
    assert resumed.code == 0, resumed.err
    assert "goes on: 4 of 8 trials are done" in resumed.err
    assert [line.split(":")[0] for line in resumed.err.splitlines() if line.startswith("trial ")] == [
        f"trial {number} of 8" for number in (5, 6, 7, 8)
    ]
    assert training.trained[4] == training.trained[5]  # the killed one
    assert len(training.trained) == 9
    asked = asked_for()

    training.trained.clear()
    whole = search(*STUDY, "paths.outputs=elsewhere")
    assert asked_for("elsewhere/searches.db") == asked
    assert len(training.trained) == 8
    best = min(training.trained, key=lambda rate: abs(math.log10(rate / 0.05)))
    assert f"best of 8 trials: {1 / (1 + math.log10(best / 0.05) ** 2):.6g}" in whole.err


@pytest.mark.parametrize("sampler", [*map(slow, ("tpe", "random", "nsga2", "qmc")), "cmaes"])
@pytest.mark.parametrize("kill", [*map(slow, (2, 6)), 5])
def test_batches_go_on_with_every_sampler_wherever_the_search_was_killed(search, training, sampler, kill):
    many = [*SEARCH, f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.n_jobs=3", "hydra.sweeper.n_trials=8"]
    many += ["hydra.sweeper.sampler.population_size=3"] if sampler == "nsga2" else []
    training.act = kill_at(kill)
    assert search(*many).code == 130
    training.act = lambda number, rate: None
    assert search(*many).code == 0
    asked = asked_for()
    assert asked[1] == ["COMPLETE"] * 8
    assert search(*many, "paths.outputs=elsewhere").code == 0
    assert asked_for("elsewhere/searches.db") == asked
    assert len({*asked[0]}) == 8  # none is asked for twice


@pytest.mark.slow
def test_records_answer_where_the_storage_is_lost(search, training, tmp_path):
    search(*STUDY)
    (tmp_path / "outputs" / "searches.db").unlink()
    again = search(*STUDY)
    assert len(training.trained) == 8
    assert [line.endswith("(recorded)") for line in trials(again)] == [True] * 8


@pytest.mark.slow
def test_a_longer_study_begins_with_the_shorter_one(search, training):
    search(*STUDY)
    longer = search(*STUDY, "hydra.sweeper.n_trials=10")
    assert "goes on: 8 of 10 trials are done" in longer.err
    assert len(trials(longer)) == 2
    assert len(training.trained) == 10


@pytest.mark.slow
def test_a_trial_that_fails_is_reported_and_tried_again_by_the_same_command(search, training):
    def broken(number, rate):
        if number == 3:
            raise RuntimeError("no memory")

    training.act = broken
    result = search(*STUDY)
    assert result.code == 0, result.err
    assert len(training.trained) == 8
    assert "1 trials failed; the same command tries them again" in result.err
    assert "RuntimeError: no memory" in result.err
    assert "best of 7 trials" in result.err
    again = search(*STUDY)
    assert "best of 8 trials" in again.err
    assert training.trained[8] == training.trained[2]


@pytest.mark.slow
def test_a_study_in_which_everything_fails_fails(search, training):
    def broken(number, rate):
        raise RuntimeError("no memory")

    training.act = broken
    result = search(*STUDY)
    assert result.code == 1
    assert "8 runs failed" in result.err


@pytest.mark.slow
def test_a_trial_without_a_number_is_the_worst_and_no_failure(search, training):
    training.act = lambda number, rate: math.nan if number == 1 else None
    result = search(*STUDY)
    assert result.code == 0, result.err
    assert "val/acc_best -inf" in result.err
    assert "best of 8 trials" in result.err


@pytest.mark.slow
def test_several_trials_at_a_time_are_one_batch_of_the_launcher(search, training, tmp_path):
    result = search(*STUDY, "hydra.sweeper.n_jobs=3")
    assert result.code == 0, result.err
    assert len(training.trained) == 8
    sweep = tmp_path / "sweep" / "sweep.json"
    [plan] = json.loads(sweep.read_text())["plans"]
    assert plan["name"] == "search of optimizer.lr x optimizer.weight_decay"
    assert sorted(id for [id] in plan["arms"].values()) == Store(tmp_path / "outputs").ids()
    assert not trials(search(*STUDY, "hydra.sweeper.n_jobs=3"))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hydra.sweeper.storage=nonsense://a", "hydra.sweeper.storage=nonsense://a can't be used"),
        ("hydra.sweeper.storage='postgresql://me:hunter2@host/a'", "postgresql://***@host/a can't be used"),
        ("hydra.sweeper.sampler.seed=null", "hydra.sweeper.sampler.seed must be a whole number"),
        ("+hydra.sweeper.sampler.colour=red", "hydra.sweeper.sampler: "),
        ("+hydra.sweeper.pruner.colour=red", "hydra.sweeper.pruner: "),
        ("hydra/sweeper/sampler=nsgaii", "is not an option. Did you mean nsga2?"),
        ("++hydra.sweeper.trials=3", "hydra.sweeper.trials is not known. Did you mean n_trials?"),
        ("hydra.sweeper.objectives=[val/acc_best,val/acc_best]", "names each objective once"),
        ("hydra.sweeper.objectives=[val/acc_best,val/f1]", "must be a metric that the run measures, got 'val/f1'"),
        ("optimizer.lr=interval(0.1,0.01)", "optimizer.lr=interval(0.1,0.01) can't be searched"),
        ("optimized_metric=val/f1", "must be a metric that the run measures, got 'val/f1'"),
        ("optimized_metric=lr", "must be a metric that the run measures, got 'lr'"),
        ("task.metrics.acc.better=null", "task.metrics.acc.better=higher"),
        ("++hydra.sweeper.direction=minimize", "direction is minimize, but val/acc_best has the direction maximize"),
        ("++hydra.sweeper.direction=[maximize,minimize]", "but val/acc_best has the direction maximize"),
    ],
)
def test_settings_that_a_study_can_not_have(search, training, setting, said):
    result = search(*STUDY, setting)
    assert result.code == 2, result.err
    assert said in result.err
    assert "hunter2" not in result.err
    assert not training.trained


@pytest.mark.slow
def test_a_metric_that_no_run_records_fails_every_trial(search, training):
    result = search(*STUDY, "optimized_metric=test/acc")
    assert result.code == 1
    assert "test/acc is not in the record" in result.err


def test_the_direction_of_a_study_is_that_of_its_metric(search, training):
    """The best of the last line, and the samples: later ones lie where the metric is good."""
    result = search(*STUDY, "optimized_metric=val/loss_best")  # the rate itself
    assert result.code == 0, result.err
    assert f"best of 8 trials: {min(training.trained):.6g}" in result.err
    assert sum(training.trained[-4:]) < sum(training.trained[:4])  # the sampler went the right way


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("++hydra.sweeper.direction=maximize", "the direction follows from the objective"),
        slow("++hydra.sweeper.max_failure_rate=0.5", "a search goes on whatever fails"),
        slow("++hydra.sweeper.search_space={a: 1}", "what is searched stands in hydra.sweeper.params"),
    ],
)
def test_a_line_says_what_has_taken_the_place_of_an_old_key(search, training, setting, said):
    result = search(*STUDY, setting, "hydra.sweeper.n_trials=1")
    assert result.code == 0, result.err
    [line] = [line for line in result.err.splitlines() if "was removed" in line]
    assert said in line


def test_a_search_is_a_command(paribus, training, monkeypatch):
    """As users of hydra-optuna-sweeper type it."""
    monkeypatch.setattr("paribus.sweep.composed.dispatch", training)
    result = paribus(
        *(*TRAIN, "hydra/sweeper=optuna", "optimizer.lr=interval(0.01,0.1)"),
        *("hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=mine"),
    )
    assert result.code == 0, result.err
    assert len(training.trained) == 2
    assert "study mine in sqlite:///" in result.err


@pytest.mark.parametrize("launcher", ["paribus", slow("submitit_local")])
def test_the_sweeper_of_the_plugin_knows_no_direction_and_is_refused(paribus, launcher):
    plugin = "hydra.sweeper._target_=hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
    result = paribus("train", "-m", "hparams_search=optuna", f"hydra/launcher={launcher}", plugin)
    assert result.code == 2, result.err
    assert "hparams_search=optuna" in result.err


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("+model.api_key=hunter2a,hunter2b", "+model.api_key=***"),
        ("+hydra.sweeper.params={model.token: 'choice(hunter2a,hunter2b)'}", "model.token=***"),
        ("+model.url='https://me:hunter2a@host','https://me:hunter2b@host'", "https://***@host"),
    ],
)
def test_a_secret_is_not_searched_over(search, training, override, shown, tmp_path):
    """Optuna's storage would keep it."""
    result = search(*STUDY, override)
    assert result.code == 2
    assert "searches over a secret" in result.err
    assert shown in result.err
    assert not training.trained
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert not [path for path in written if ".hydra" not in path.parts]


# ------------------------------------------------------------------------------------------ seeds, objectives, storage


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(search, training, told, tmp_path):
    values = iter([0.5, 0.7, 0.9, 0.6, 0.6, 0.6])
    training.act = lambda number, rate: next(values)
    result = search(*STUDY, "hydra.sweeper.seeds=3", "hydra.sweeper.n_trials=2", "seed=4")
    assert result.code == 0, result.err
    study = told()
    assert [trial["results"]["val/acc_best"] for trial in study["trials"]] == pytest.approx([0.7, 0.6])
    assert [len(trial["runs"]) for trial in study["trials"]] == [3, 3]
    assert study["best"] == [0]
    assert "the mean of 3 seeds" in result.err
    sweep = tmp_path / "sweep" / "sweep.json"
    [plan] = json.loads(sweep.read_text())["plans"]
    assert [len(ids) for ids in plan["arms"].values()] == [3, 3]


@pytest.fixture
def told(paribus, capsys):
    """What `paribus search --json` says of the one search that there is."""

    def look():
        [found] = json.loads(paribus("search", "--json").out)
        return json.loads(paribus("search", found["study"], "--json").out)

    return look


@pytest.mark.slow
def test_several_objectives_have_a_pareto_front(search, told, paribus):
    """val/acc is best at 0.05, val/loss falls with the rate: the trials from the smallest rate up to 0.05 are on it."""
    result = search(
        *SEARCH, "hydra.sweeper.objectives=[val/acc_best,val/loss_best]", "hydra/sweeper/sampler=random", EIGHT
    )
    assert result.code == 0, result.err
    study = told()
    assert study["objectives"] == {"val/acc_best": "maximize", "val/loss_best": "minimize"}
    points = [(trial["results"]["val/acc_best"], -trial["results"]["val/loss_best"]) for trial in study["trials"]]
    front = [
        number
        for number, own in enumerate(points)
        if not any(all(a >= b for a, b in zip(other, own, strict=True)) and other != own for other in points)
    ]
    assert sorted(study["best"]) == front
    assert result.err.count("  val/acc_best") == len(front)
    assert {*study["importances"]} == {*study["objectives"]}
    text = paribus("search", study["study"]).out
    assert f"{front[0] + 1}*" in text
    assert "the Pareto front of 8 complete trials" in text


@pytest.mark.slow
def test_costs_are_objectives_of_which_less_is_better(search, training):
    result = search(*STUDY, "hydra.sweeper.objectives=[val/acc_best,parameters]")
    assert result.code == 0, result.err
    assert "parameters: lower is better" in result.err
    assert "parameters 7" in result.err


@pytest.mark.slow
def test_what_explains_the_results_is_said(search, training):
    """The formula knows the learning rate only."""
    result = search(*STUDY)
    [line] = [line for line in result.err.splitlines() if line.startswith("what explains val/acc_best")]
    shares = {key: float(share) for key, share in (each.rsplit(" ", 1) for each in line.partition(": ")[2].split(", "))}
    assert shares["optimizer.lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)


def test_optuna_opens_the_storage_that_is_named(search, training, paribus, tmp_path):
    url = f"sqlite:///{tmp_path}/else.db"
    named = [*STUDY, f"hydra.sweeper.storage={url}", "hydra.sweeper.study_name=mine", "hydra.sweeper.n_trials=2"]
    assert search(*named).code == 0
    study = optuna.load_study(study_name="mine", storage=url)
    assert [trial.params["optimizer.lr"] for trial in study.trials] == training.trained
    assert all(Store(tmp_path / "outputs").read(id) for trial in study.trials for id in trial.user_attrs["runs"])
    assert not (tmp_path / "outputs" / "searches.db").exists()
    assert "mine: 2 trials (2 complete)" in paribus("search", "--storage", url).out
    other = search(*named, "optimizer.lr=interval(0.1,0.2)")
    assert other.code == 2
    assert "the study mine was begun with other settings: space" in other.err
    missing = paribus("search", "mien", "--storage", url)
    assert missing.code == 2
    assert "Did you mean mine?" in missing.err


def test_two_commands_do_not_search_in_one_study(search, training, tmp_path):
    search(*STUDY, "hydra.sweeper.n_trials=1")
    [lock] = tmp_path.glob("outputs/locks/search-*")
    with exclusive(lock, "it"):
        result = search(*STUDY)
    assert result.code == 2
    assert "only one process may work on the study search-" in result.err
    assert len(training.trained) == 1


def test_there_is_no_search_yet(paribus, tmp_path):
    result = paribus("search")
    assert result.code == 2
    assert "paribus train -m hparams_search=optuna" in result.err
    assert not (tmp_path / "outputs" / "searches.db").exists()

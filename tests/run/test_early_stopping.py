"""Early stopping counts validations, in the direction of its metric."""

import json
import math
import signal
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from paribus.base.errors import UserError
from paribus.config.identity import run_id, semantics
from paribus.run.callbacks.early_stopping import EarlyStopping
from paribus.run.journal import Journal
from paribus.run.loop import Loop
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=8", "data.subset=80", "norm=none", "callbacks=[default,early_stopping]"]


def merged(*overrides):
    """A command line on which later values of a key replace earlier ones."""
    return tuple({item.partition("=")[0]: item for item in overrides}.values())


def stopped_after(values, **arguments):
    """The number of validations after which a run ends whose monitored values these are; None where it does not."""
    callback, ended = EarlyStopping(**arguments), []
    task = SimpleNamespace(end_training=lambda: ended.append(True), journal=Journal(None, arguments["monitor"]))
    for number, value in enumerate(values, start=1):
        callback.on_validated(task, {arguments["monitor"]: value})
        # As if it had been killed and resumed here.
        state, callback = callback.state_dict(), EarlyStopping(**arguments)
        callback.load_state_dict(json.loads(json.dumps(state)))
        if ended:
            return number
    return None


@pytest.mark.parametrize(
    ("monitor", "values", "after"),
    [
        ("val/loss", [3.0, 2.0, 1.0, 0.5, 0.4], None),
        ("val/loss", [1.0, 2.0, 3.0], 3),
        ("val/acc", [0.1, 0.2, 0.3, 0.4], None),
        ("val/acc", [0.4, 0.3, 0.2], 3),
        ("val/ece", [0.3, 0.2, 0.2, 0.2], 4),
        ("val/loss", [math.nan, 1.0, math.nan, 0.9, math.nan, 0.95], 6),  # a nan waits, and resets nothing
        ("val/acc", [math.nan, math.nan], 2),
        ("val/loss", [math.inf, math.inf, math.inf], 3),
    ],
)
def test_it_ends_after_patience_validations_without_an_improvement(monitor, values, after):
    assert stopped_after(values, monitor=monitor, patience=2) == after


def test_a_change_of_less_than_min_delta_is_no_improvement():
    falling = [1.0, 0.95, 0.9, 0.85]
    assert stopped_after(falling, monitor="val/loss", patience=2, min_delta=0.07) is None  # 0.9 beats 1.0 by 0.1
    assert stopped_after(falling, monitor="val/loss", patience=2, min_delta=0.2) == 3
    assert stopped_after([0.1, 0.15, 0.2], monitor="val/acc", patience=2, min_delta=0.2) == 3


@pytest.mark.parametrize("monitor", ["val/loss", "val/acc"])
def test_with_a_validation_in_every_epoch_it_is_lightnings(monitor):
    """Such runs keep the ids of before: on any sequence both end after the same epoch."""
    values = [0.5, 0.4, 0.6, math.nan, 0.61, 0.3, 0.6, 0.7, 0.65, 0.2, 0.6, 0.6, 0.6, 0.6]
    mode = "max" if monitor == "val/acc" else "min"
    for patience in (1, 2, 3, 4):
        for delta in (0.0, 0.05):
            theirs = pl.callbacks.EarlyStopping(
                monitor=monitor, mode=mode, patience=patience, min_delta=delta, check_finite=False
            )
            expected = None
            for number, value in enumerate(values, start=1):
                stop, _ = theirs._evaluate_stopping_criteria(torch.tensor(value, dtype=torch.float64))
                if stop and expected is None:
                    expected = number
            assert stopped_after(values, monitor=monitor, patience=patience, min_delta=delta) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"monitor": "val/loss", "patience": 0}, "patience must be at least 1"),
        ({"monitor": "val/loss", "min_delta": math.nan}, "min_delta must be a finite number"),
        ({"monitor": "val/loss", "min_delta": -0.1}, "min_delta must be a finite number"),
    ],
)
def test_what_it_can_not_do_is_refused(arguments, said):
    with pytest.raises((UserError, ValueError), match=said):
        EarlyStopping(**arguments)


@pytest.mark.parametrize("every", [1, 2, 4])
def test_it_counts_validations_and_the_last_epoch_has_one(paribus, tmp_path, every):
    """A rate of zero improves nothing: one validation is the best, two more are waited for."""
    frozen = ["optimizer.lr=1e-12", "callbacks.early_stopping.patience=2", f"evaluation.every={every}"]
    result = paribus("train", *merged(*QUICK, *frozen, "budget.epochs=40", "evaluation.monitor=val/acc"))
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert record.timing["epochs"] == 3 * every
    assert store.history(record.id)["val/acc"][-1] == record.metrics["val/acc"]


@pytest.mark.parametrize("monitor", ["val/loss", "val/acc"])
def test_it_goes_on_while_the_metric_improves(paribus, tmp_path, monitor):
    quick = ["optimizer.lr=0.05", "callbacks.early_stopping.patience=1", "budget.epochs=6", "data.subset=null"]
    result = paribus("train", *merged(*QUICK, *quick, f"evaluation.monitor={monitor}"))
    assert result.code == 0, result.err
    [record] = Store(tmp_path / "outputs").scan()
    values = Store(tmp_path / "outputs").history(record.id)[monitor]
    sign = -1 if monitor == "val/loss" else 1
    improving = [sign * a < sign * b for a, b in pairwise(values)]
    assert all(improving[: len(values) - 2])  # until the one that ends it
    assert len(values) == 6 or not improving[-1]
    assert len(values) > 2


def test_a_callback_that_ends_a_run_is_followed_by_a_validation(paribus, tmp_path, monkeypatch):
    (tmp_path / "ends_early.py").write_text(
        "import pytorch_lightning as pl\n\n\nclass Ends(pl.Callback):\n"
        "    def on_train_batch_end(self, trainer, *_):\n"
        "        trainer.should_stop = trainer.lightning_module.data.cursor.epoch == 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    ends = "+callbacks.ends._target_=ends_early.Ends"
    result = paribus("train", *merged(*QUICK, "callbacks=[default]", ends, "evaluation.every=10", "budget.epochs=20"))
    assert result.code == 0, result.err
    [record] = Store(tmp_path / "outputs").scan()
    assert record.timing["epochs"] <= 3
    assert math.isfinite(record.metrics["val/loss"])


@pytest.mark.parametrize(
    ("callback", "code", "said"),
    [
        ("{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/acc}", 2, "mode is min, but of"),
        ("{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss, mode: max}", 2, "lower is better"),
        ("{_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val/acc}", 2, "mode is min, but of"),
        ("{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss}", 0, ""),
    ],
)
def test_a_direction_of_lightnings_own_callbacks_must_be_that_of_the_metric(paribus, callback, code, said):
    result = paribus("train", *merged(*QUICK, "callbacks=[default]", f"+callbacks.mine={callback}", "budget.epochs=2"))
    assert (result.code, said in result.err) == (code, True), result.err


def test_lightnings_early_stopping_counts_epochs_and_is_refused_where_that_differs(paribus):
    theirs = "+callbacks.mine={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss}"
    result = paribus("train", *merged(*QUICK, "callbacks=[default]", theirs, "evaluation.every=2"))
    assert result.code == 2
    assert "which counts validations" in result.err


# ------------------------------------------------------------------------------------------ the direction of a config


@pytest.mark.parametrize("key", ["evaluation", "callbacks.early_stopping"])
def test_a_direction_that_is_given_must_agree_and_is_said_to_be_gone(paribus, compose, key):
    for form in (f"{key}.mode", f"+{key}.mode"):
        refused = paribus("train", *merged(*QUICK, f"{form}=min"))
        assert refused.code == 2
        assert f"{key}.mode is min, but of {key}.monitor=val/acc higher is better" in refused.err
    assert run_id(compose(*QUICK, f"+{key}.mode=max")) == run_id(compose(*QUICK))
    trained = paribus("train", *merged(*QUICK, f"{key}.mode=max", "budget.epochs=1"))
    assert trained.code == 0, trained.err


def test_that_a_direction_is_gone_is_said_once(paribus, monkeypatch):
    from paribus.config import modes

    modes._say.cache_clear()
    swept = paribus("train", "-m", *merged(*QUICK, "evaluation.mode=max", "seed=0,1", "budget.epochs=1"))
    assert swept.code == 0, swept.err
    assert swept.err.count("evaluation.mode was removed") == 1


def test_the_identity_holds_the_direction_as_before(compose):
    meaning = semantics(compose(*QUICK))
    assert meaning["evaluation"]["mode"] == "max"
    assert meaning["callbacks"]["early_stopping"] == {
        "_target_": "pytorch_lightning.callbacks.EarlyStopping",
        "monitor": "val/acc",
        "mode": "max",
        "patience": 5,
        "min_delta": 0.0,
        "check_on_train_epoch_end": True,
        "check_finite": False,
        "verbose": False,
    }
    lower = semantics(compose(*QUICK, "evaluation.monitor=val/loss"))
    assert lower["evaluation"]["mode"] == lower["callbacks"]["early_stopping"]["mode"] == "min"
    # Where epochs and validations differ, Lightning's class did something else.
    other = semantics(compose(*QUICK, "evaluation.every=2"))["callbacks"]["early_stopping"]
    assert other["_target_"] == "paribus.run.callbacks.early_stopping.EarlyStopping"


def test_what_has_no_calibration_error_can_not_be_monitored_by_it(paribus):
    result = paribus("train", *merged(*QUICK, "loss=scalar_mse", "evaluation.monitor=val/ece"))
    assert result.code == 2
    assert "gives no confidences" in result.err


# ------------------------------------------------------------------------------------------ best


@pytest.mark.parametrize(("monitor", "best"), [("val/loss", min), ("val/acc", max), ("val/ece", min)])
def test_the_tested_weights_are_the_best_and_not_the_worst(paribus, tmp_path, monitor, best):
    setting = ["optimizer.lr=0.5", "budget.epochs=12", "evaluation.checkpoint=best", f"evaluation.monitor={monitor}"]
    result = paribus("train", *merged(*QUICK, "callbacks=[default]", *setting))
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert record.metrics[f"{monitor}_best"] == best(store.history(record.id)[monitor])
    kept = torch.load(store.run_dir(record.id) / "checkpoints" / "best.ckpt", weights_only=True)
    assert (kept["monitor"], kept["score"]) == (monitor, record.metrics[f"{monitor}_best"])
    again = paribus("evaluate", record.id)
    assert again.code == 0, again.err


def test_a_journal_keeps_its_best_through_nan():
    journal, found = Journal(None, "val/loss"), []
    for loss, acc in [(math.nan, 0.5), (2.0, math.nan), (math.nan, 0.4), (1.0, 0.6), (3.0, math.nan)]:
        row = {"val/loss": loss, "val/acc": acc}
        found.append(journal.is_best(row))
        journal.metrics.update(row)
    assert found == [False, True, False, True, False]
    assert journal.best_score == 1.0
    assert journal.metrics["val/acc_best"] == 0.6


# ------------------------------------------------------------------------------------------ killed and repeated


@pytest.mark.slow
def test_killed_and_repeated_it_ends_with_the_same_bits(paribus, commands, tmp_path):
    command = [
        *("train", *QUICK, "trainer.threads=1", "budget.epochs=3000"),
        *("evaluation.every=3", "callbacks.early_stopping.patience=60", "evaluation.monitor=val/loss"),
        *("callbacks.checkpoints.every_seconds=0.02", "data.batch_size=4", "optimizer.lr=0.02"),
    ]
    process = commands.start(tmp_path, *command, "paths.outputs=killed")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("runs/*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline, process.output.read_text()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60).code == -signal.SIGKILL
    records = []
    for outputs in ("killed", "whole"):
        result = paribus(*command, f"paths.outputs={outputs}")
        assert result.code == 0, result.err
        records += Store(tmp_path / outputs).scan()
    killed, whole = records
    assert whole.timing["epochs"] < 3000
    assert killed.metrics == whole.metrics
    assert killed.timing["steps"] == whole.timing["steps"]
    files = [Store(tmp_path / name).run_dir(whole.id) / "checkpoints" / "last.ckpt" for name in ("killed", "whole")]
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in files)
    assert all(torch.equal(first[key], second[key]) for key in second)


def test_the_task_offers_the_hook():
    """What the callback calls exists, whatever stands in for it above."""
    assert callable(Loop.end_training)

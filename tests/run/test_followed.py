"""What follows a metric of a validation follows any that is declared, in its direction: one's own as well."""

import csv
import math

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved, user_errors
from paribus.config.run import Run
from paribus.run import build
from paribus.store.store import Store
from paribus.techniques.schedules import Plateau

SMALL = ["model=mlp", "model.width=8", "norm=none", "data.subset=120", "data.validation=80", "trainer.threads=1"]
# Two metrics that rise and fall with every batch, so that neither is a copy of the loss.
OWN = """
import torch
from torchmetrics import Metric

class Surest(Metric):
    def __init__(self, negative=False):
        super().__init__()
        self.negative = negative
        self.add_state("most", torch.tensor(0.0), dist_reduce_fx="max")
    def update(self, preds, target):
        self.most = torch.maximum(self.most, preds.amax())
    def compute(self):
        return -self.most if self.negative else self.most
"""
HIGHER = ["+metrics.sure={_target_: own_metric.Surest, better: higher}"]
LOWER = ["+metrics.sure={_target_: own_metric.Surest, negative: true, better: lower}"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_metric.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def trained(paribus, folder, *overrides):
    """The history of a run, with numbers, and its record."""
    result = paribus("train", *SMALL, *overrides)
    assert result.code == 0, result.err
    store = Store(folder / "outputs")
    [record] = list(store.scan())
    with (store.run_dir(record.id) / "history.csv").open() as file:
        return [{k: float(v or math.nan) for k, v in row.items()} for row in csv.DictReader(file)], record


@pytest.mark.parametrize(
    ("monitor", "sign", "more"),
    [
        ("val/acc", -1, ["metrics=[]"]),
        ("val/sure", -1, HIGHER),
        ("val/sure", 1, LOWER),
        ("val/loss", 1, ["metrics=[]"]),
    ],
)
def test_a_plateau_early_stopping_and_the_best_weights_follow_it(paribus, tmp_path, own, monitor, sign, more):
    follow = ["scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.01", f"scheduler.monitor={monitor}"]
    stop = ["callbacks=[default,early_stopping]", f"callbacks.early_stopping.monitor={monitor}"]
    stop += ["callbacks.early_stopping.patience=2", f"evaluation.monitor={monitor}", "optimizer.lr=0.4"]
    rows, record = trained(paribus, tmp_path, *follow, *stop, *more, "budget.epochs=8")
    values = [sign * row[monitor] for row in rows]
    schedule, best, waited = Plateau(patience=0, threshold=0.01), math.inf, 0
    for number, (value, row) in enumerate(zip(values, rows, strict=True), start=1):
        assert row["lr"] == pytest.approx(0.4 * schedule.factor(0, 1))
        schedule.observe(value)
        best, waited = (value, 0) if value < best else (best, waited + 1)
        assert (waited >= 2 or number == 8) == (number == len(rows))
    assert record.metrics[f"{monitor}_best"] == sign * min(values)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["scheduler.monitor=val/f1"], "scheduler.monitor must be a metric that the run measures, got 'val/f1'. Add m"),
        (["scheduler.monitor=val/accc"], "got 'val/accc'. Did you mean val/acc"),
        (["scheduler.monitor=test/acc"], "scheduler.monitor must be a metric of the validation, got test/acc. Use one"),
        (["scheduler.monitor=val/acc", "task.metrics.acc.better=null", "task.monitor=val/loss"], "declares none"),
        (["scheduler.monitor=val/ece", "loss=scalar_mse"], "scheduler.monitor=val/ece, with loss=scalarsquarederror"),
        (["scheduler.monitor=3"], "scheduler.monitor must be a word"),
    ],
)
def test_what_a_schedule_can_not_follow_is_named_before_training(overrides, said):
    with pytest.raises(UserError) as caught:
        checked([*SMALL, "scheduler=plateau", *overrides])
    assert said in str(caught.value)


def checked(line):
    with user_errors():
        run = Run.parse(resolved(load(line)))
    build.check_monitors(run, build.build_setting(run).task)

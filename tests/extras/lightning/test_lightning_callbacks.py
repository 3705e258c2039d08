"""Callbacks of Lightning and of users with task=lightning: their runs are resumed and evaluated to the same bits."""

import pytest
import torch
from torch.optim.swa_utils import SWALR

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.evaluate import evaluate_record
from paribus.run.execute import train
from paribus.store.store import Store

LIGHTNING = "pytorch_lightning.callbacks"
# In old versions of torch; such a checkpoint is refused, with the name of what it holds.
FUNCTION_IN_STATE = "anneal_func" in SWALR(torch.optim.SGD([torch.zeros(1)], 0.1), 0.1).state_dict()
BASE = ["task=lightning", "task.datamodule={_target_: modules.Data}", "task.metrics={mse: {better: lower}}",
        "task.monitor=val/mse", "budget.epochs=5", "callbacks=[checkpoints]", "trainer.threads=1",
        "callbacks.checkpoints.every_seconds=1e-9"]  # fmt: skip


def weights(record, outputs, name="last"):
    path = outputs / "runs" / record.id / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    "callback",
    [
        f"{LIGHTNING}.EMAWeightAveraging, decay: 0.5",
        pytest.param(
            f"{LIGHTNING}.StochasticWeightAveraging, swa_lrs: 0.01, swa_epoch_start: 2",
            marks=[
                pytest.mark.skipif(FUNCTION_IN_STATE, reason="this torch puts a function into the checkpoint"),
                pytest.mark.slow,
            ],
        ),
        pytest.param(f"{LIGHTNING}.ModelPruning, pruning_fn: l1_unstructured, amount: 0.2", marks=pytest.mark.slow),
        pytest.param("watchers.ThawsFirst", marks=pytest.mark.slow),
        pytest.param("watchers.Fading", marks=pytest.mark.slow),
        "none of them, and a module that thaws",
    ],
)
@pytest.mark.filterwarnings("ignore:The provided params to be frozen already exist")
def test_a_run_with_a_callback_ends_with_the_same_bits(callback, tmp_path):
    module = "modules.Thawing" if callback.startswith("none") else "modules.Regressor"
    line = [*BASE, f"task.module={{_target_: {module}}}",
            f"+callbacks.stop={{_target_: watchers.StopInFourth, file: {tmp_path / 'stopped'}}}"]  # fmt: skip
    if not callback.startswith("none"):
        line.append(f"+callbacks.tried={{_target_: {callback}}}")

    def attempt(name):
        return train(Run.parse(resolved(load([*line, f"paths.outputs={tmp_path / name}"]))), {}, [])

    with pytest.raises(RuntimeError, match="on purpose"):
        attempt("twice")
    again, whole = attempt("twice"), attempt("once")
    assert again.metrics == whole.metrics
    found, expected = weights(again, tmp_path / "twice"), weights(whole, tmp_path / "once")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert evaluate_record(whole, Store(tmp_path / "once")) == {"test/mse": whole.metrics["test/mse"]}


def test_the_best_weights_are_those_that_were_validated(tmp_path):
    """A callback of averages has put its own weights in place for the validation."""
    line = [*BASE, "task.module={_target_: modules.Regressor, dropout: 0.0}", "evaluation.checkpoint=best",
            f"+callbacks.tried={{_target_: {LIGHTNING}.EMAWeightAveraging, decay: 0.5}}"]  # fmt: skip
    record = train(Run.parse(resolved(load([*line, f"paths.outputs={tmp_path}"]))), {}, [])
    from modules import Data, Regressor

    module, data = Regressor(dropout=0.0), Data()
    data.setup("fit")
    module.load_state_dict(weights(record, tmp_path, "best"))
    module.eval()
    with torch.no_grad():
        loss = module.step(data.parts[1][:]).item()
    assert loss == pytest.approx(record.metrics["val/mse_best"])


@pytest.mark.parametrize(
    ("name", "key"), [("LearningRateFinder", "task.module.lr"), ("BatchSizeFinder", "task.datamodule.batch_size")]
)
def test_a_search_before_the_training_is_refused(name, key, tmp_path):
    line = [*BASE, "task.module={_target_: modules.Regressor}", f"+callbacks.tried._target_={LIGHTNING}.{name}"]
    with pytest.raises(UserError, match=rf"trains a little with many values.*tune: {{{key}: \[\.\.\.\]}}"):
        train(Run.parse(resolved(load([*line, f"paths.outputs={tmp_path}"]))), {}, [])

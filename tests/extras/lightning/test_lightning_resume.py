"""A run of task=lightning that is killed goes on, and ends with the same bits."""

import signal

import pytest
import torch

from paribus.store.store import Store

BASE = ["task=lightning", "task.metrics={mse: {better: lower}, best: {better: higher}}", "task.monitor=val/mse",
        "callbacks=[checkpoints]", "callbacks.checkpoints.every_seconds=1e-9", "trainer.threads=1"]  # fmt: skip
CASES = {
    "workers": ("task.module={_target_: modules.Stateful}", "task.datamodule={_target_: modules.AugmentedData}",
                "budget.epochs=4", 13, "on_train_batch_end"),
    "in the main process": ("task.module={_target_: modules.Stateful, manual: true}",
                            "task.datamodule={_target_: modules.AugmentedData, workers: 0}",
                            "budget.epochs=4", 16, "on_train_batch_end"),
    "a generator of the user's": ("task.module={_target_: modules.Stateful, scheduler: step}",
                                  "task.datamodule={_target_: modules.AugmentedData, workers: 0, generator: true}",
                                  "budget.updates=21", 12, "on_validation_end"),
    "weights of eight bytes": ("task.module={_target_: modules.Stateful}",
                               "task.datamodule={_target_: modules.AugmentedData, workers: 0}",
                               "budget.epochs=4 trainer.precision=64-true", 13, "on_train_batch_end"),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "workers" else pytest.mark.slow) for case in CASES]
)
def test_a_killed_run_ends_with_the_same_bits(commands, case, tmp_path):
    module, data, budget, at, hook = CASES[case]
    file = tmp_path / "killed"
    kill = f"+callbacks.kill={{_target_: modules.Killer, at: {at}, file: {file}, hook: {hook}}}"

    def attempt(name):
        return commands.run(
            tmp_path, "train", *BASE, module, data, *budget.split(), kill, f"paths.outputs={tmp_path / name}"
        )

    assert attempt("killed_once").code == -signal.SIGKILL
    [checkpoint] = tmp_path.glob("killed_once/runs/*/checkpoints/last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["paribus"]["cursor"]["epoch"] >= 1
    for name in ("killed_once", "whole"):
        done = attempt(name)
        assert done.code == 0, done.out
    (killed,), (whole,) = (list(Store(tmp_path / name).scan()) for name in ("killed_once", "whole"))
    assert killed.id == whole.id
    assert killed.metrics == whole.metrics
    one, other = (Store(tmp_path / name).history(whole.id) for name in ("killed_once", "whole"))
    assert {**one, "seconds": None} == {**other, "seconds": None}
    first, second = (
        torch.load(tmp_path / name / "runs" / whole.id / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("killed_once", "whole")
    )
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(first[part], second[part]), part
    assert same(first["paribus"]["module"], second["paribus"]["module"])
    assert same(first["paribus"]["data"], second["paribus"]["data"])


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other

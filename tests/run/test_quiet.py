"""Warnings of Lightning about what Paribus does on purpose."""

import os

import pytest
from lightning_fabric.plugins.environments import SLURMEnvironment
from lightning_fabric.utilities.warnings import PossibleUserWarning

MODULE = ["task=lightning", "task.module={_target_: modules.Regressor}", "task.datamodule={_target_: modules.Data}",
          "task.metrics={mse: {better: lower}}", "task.monitor=val/mse"]  # fmt: skip


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(["model=mlp", "data.subset=100"], id="ours"),
        pytest.param(MODULE, id="lightning", marks=pytest.mark.needs("lightning")),
    ],
)
def test_nobody_is_told_to_start_processes_with_srun(task, paribus, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    with pytest.warns(PossibleUserWarning, match="The `srun` command is available"):  # as errors, in these tests
        SLURMEnvironment.detect()
    result = paribus("train", *task, "budget.epochs=1")
    assert result.code == 0, result.err

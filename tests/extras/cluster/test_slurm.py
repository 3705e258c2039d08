"""A real SLURM, where there is one: a job told that its time is up is requeued once, and ends with the same bits."""

import re
import shutil
import subprocess
import threading
import time

import pytest

from paribus.run.rerun import compare
from paribus.store.store import Store

# The signal comes within the run, which saves something each second.
LINE = [
    "model=mlp",
    "data.workers=2",
    "budget.epochs=100",
    "augmentation=mixup",
    "callbacks.checkpoints.every_seconds=1",
]
LINE += ["stack=off", "trainer.threads=1"]  # sums have one order, here and in the job


def _answers() -> bool:
    return bool(shutil.which("sbatch")) and subprocess.run(["sinfo"], capture_output=True).returncode == 0


@pytest.mark.slow  # SLURM holds a requeued job back for two minutes
@pytest.mark.timeout(600)
@pytest.mark.skipif(not _answers(), reason="needs a SLURM that answers: sbatch and sinfo on PATH")
def test_a_job_whose_time_is_up_goes_on_with_the_same_bits(paribus, tmp_path):
    def tell() -> None:
        """SIGUSR2 to every process of the step, as SLURM does at the time limit, once the run has saved something."""
        runs = tmp_path / "outputs" / "runs"
        while not list(runs.glob("*/checkpoints/last.ckpt")):
            time.sleep(0.2)
        job = next(path.name for path in tmp_path.glob("outputs/sweeps/*/jobs/*") if path.name.isdigit())
        subprocess.run(["scancel", "--signal=USR2", job], check=True)

    threading.Thread(target=tell, daemon=True).start()
    said = paribus("train", "-m", *LINE, "seed=0", "hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=3")
    assert said.code == 0, said.err
    log = "".join(path.read_text() for path in tmp_path.glob("outputs/sweeps/*/jobs/*/*_log.err"))
    assert len(re.findall("Caught signal SIGUSR2", log)) == 1
    assert paribus("train", *LINE, "seed=0", "paths.outputs=undisturbed").code == 0
    there, here = Store(tmp_path / "outputs"), Store(tmp_path / "undisturbed")
    [one], [other] = list(there.scan()), list(here.scan())
    assert [each.difference for each in compare(one, there, other, here)] == [None, None, None]

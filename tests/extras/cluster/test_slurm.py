"""A real SLURM, started on this machine: what happens to jobs there loses no run, and changes no bit of one.

`make test-slurm` runs these tests. They need root, apt-get and about ten minutes.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import slurm_cluster
from slurm_cluster import Cluster, Unavailable

from paribus.run.rerun import compare
from paribus.store.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
SLURM = ["hydra/launcher=submitit_slurm"]
QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1", "norm=none"]
# Long enough for something to happen to it: it saves something each second.
LONG = [
    *("model=mlp", "norm=none", "augmentation=mixup", "budget.epochs=100", "callbacks.checkpoints.every_seconds=1"),
    *("stack=off", "trainer.threads=1", "seed=0"),  # sums have one order, here and in the job
]
WORKERS = ["data.resident=false", "data.workers=2"]
RANKS = ["trainer.strategy=ddp", "trainer.devices=2"]
NODES = ["trainer.strategy=ddp", "trainer.num_nodes=2"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if (reason := slurm_cluster.objection()) is not None:
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm") / "cluster")
    try:
        cluster.start()
    except Unavailable as why:
        pytest.skip(str(why))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def undisturbed(commands, tmp_path_factory):
    """The record of a run that nothing happens to, and its store."""
    trained = {}

    def of(*line):
        if line not in trained:
            folder = tmp_path_factory.mktemp("undisturbed")
            done = commands.run(folder, "train", *line)
            assert done.code == 0, done.out
            [record] = Store(folder / "outputs").scan()
            trained[line] = record, Store(folder / "outputs")
        return trained[line]

    return of


@pytest.fixture
def sweep(commands, slurm, tmp_path):
    """Starts a sweep whose jobs go to this SLURM."""
    helpers = str(Path(slurm_cluster.__file__).parent)

    def start(*line):
        return commands.start(tmp_path, "train", "-m", *line, *SLURM, PYTHONPATH=helpers, **slurm.variables())

    yield start
    slurm("scancel", "--user=root", "--full", "--signal=KILL")
    slurm("scancel", "--user=root")
    slurm.until(lambda: not slurm("squeue", "-h").strip())


def checkpoints(folder):
    return sorted(folder.glob("outputs/runs/*/checkpoints/last.ckpt"))


def wait_for_checkpoint(folder, command, number=1):
    deadline = time.monotonic() + 300
    while len(checkpoints(folder)) < number:
        assert time.monotonic() < deadline, command.output.read_text()
        assert command.poll() is None, command.output.read_text()
        time.sleep(0.1)


def job_of(folder):
    """The number of the last job that was submitted."""
    return max(int(path.name) for path in folder.glob("outputs/sweeps/*/jobs/*") if path.name.isdigit())


def fields(slurm, job):
    """What SLURM says of a job."""
    return dict(re.findall(r"(\S+?)=(\S*)", slurm("scontrol", "show", "job", "-o", str(job))))


def processes(job, task=0):
    """The process that has one task of a job, and not what it has forked."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (path / "environ").read_bytes().split(b"\0")
            mine = {f"SLURM_JOB_ID={job}".encode(), f"SLURM_PROCID={task}".encode()} <= {*variables}
            program, *words = (path / "cmdline").read_bytes().split(b"\0")
            if mine and b"submitit.core._submit" in words and b"python" in program:
                found.append(int(path.name))
    return found


def same_bits(folder, undisturbed):
    record, store = undisturbed
    [found] = Store(folder / "outputs").scan()
    assert found.id == record.id
    assert [each.difference for each in compare(found, Store(folder / "outputs"), record, store)] == [None] * 3


def test_arrays_hold_jobs_of_several_runs(sweep, slurm, tmp_path):
    done = sweep(*QUICK, "seed=range(5)", "hydra.launcher.runs_per_job=2", "stack=off").wait(300)
    assert done.code == 0, done.out
    assert [record.status for record in Store(tmp_path / "outputs").scan()] == ["done"] * 5
    jobs = sorted(path.name for path in tmp_path.glob("outputs/sweeps/*/jobs/*_*") if path.is_dir())
    array = jobs[0].partition("_")[0]
    assert jobs == [f"{array}_{task}" for task in range(3)]


@pytest.mark.parametrize(("line", "tasks"), [(WORKERS, 1), (RANKS, 1), (NODES, 2)], ids=["workers", "ranks", "nodes"])
def test_a_job_whose_time_is_up_is_requeued_once_and_ends_with_the_same_bits(
    sweep, slurm, tmp_path, undisturbed, line, tasks
):
    """SLURM's signal goes to every process of the step: loaders' workers, the fork server, ranks, other nodes."""
    command = sweep(*LONG, *line)
    wait_for_checkpoint(tmp_path, command)
    job = job_of(tmp_path)
    slurm("scancel", "--signal=USR2", str(job))
    done = command.wait(600)
    assert done.code == 0, done.out
    log = "".join(path.read_text() for path in tmp_path.glob("outputs/sweeps/*/jobs/*/*_log.err"))
    assert len(re.findall("Caught signal SIGUSR2", log)) == tasks
    assert fields(slurm, job)["Restarts"] == "1"
    same_bits(tmp_path, undisturbed(*LONG, *(RANKS if line is NODES else line)))


def test_a_cancelled_job_is_not_sent_again_and_the_same_command_resumes(sweep, slurm, tmp_path, undisturbed):
    command = sweep(*LONG)
    wait_for_checkpoint(tmp_path, command)
    slurm("scancel", str(job_of(tmp_path)))
    done = command.wait(300)
    assert done.code == 1, done.out
    assert "CANCELLED" in done.out
    assert "tried again" not in done.out.replace("tries them again", "")
    assert len([path for path in tmp_path.glob("outputs/sweeps/*/jobs/*") if path.name.isdigit()]) == 1
    again = sweep(*LONG).wait(300)
    assert again.code == 0, again.out
    same_bits(tmp_path, undisturbed(*LONG))


def test_a_node_that_fails_gives_its_job_to_another(sweep, slurm, tmp_path, undisturbed):
    command = sweep(*LONG)
    wait_for_checkpoint(tmp_path, command)
    job = job_of(tmp_path)
    failed = fields(slurm, job)["NodeList"]
    slurm.fail(failed)
    try:
        done = command.wait(600)
        assert done.code == 0, done.out
        assert fields(slurm, job_of(tmp_path))["NodeList"] not in (failed, "(null)")
    finally:
        slurm.repair(failed)
    same_bits(tmp_path, undisturbed(*LONG))


def test_a_command_that_is_killed_leaves_its_jobs_and_trains_nothing_twice(sweep, slurm, tmp_path):
    count = ["+callbacks.count._target_=counting.Count", "+callbacks.count.name=starts"]
    line = [*(item for item in LONG if item != "seed=0"), "seed=0,1", *count]
    command = sweep(*line)
    wait_for_checkpoint(tmp_path, command, 2)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert slurm("squeue", "-h", "-t", "R").count("\n") == 2
    again = sweep(*line).wait(600)
    assert again.code == 0, again.out
    assert [record.status for record in Store(tmp_path / "outputs").scan()] == ["done"] * 2
    starts = Counter(line.split()[0] for line in (tmp_path / "starts.txt").read_text().splitlines())
    assert sorted(starts.values()) == [1, 1]


@pytest.mark.parametrize(("line", "task"), [([], 0), (NODES, 0), (NODES, 1)], ids=["one", "first", "second"])
def test_a_job_that_is_killed_is_sent_again_by_the_same_command(sweep, tmp_path, undisturbed, line, task):
    """For two nodes: the task of one is killed, and the other one ends for it."""
    command = sweep(*LONG, *line)
    wait_for_checkpoint(tmp_path, command)
    job = job_of(tmp_path)
    [process] = processes(job, task)
    os.kill(process, signal.SIGKILL)
    done = command.wait(600)
    assert done.code == 0, done.out
    assert "it is tried again and resumes from its last checkpoint" in done.out
    assert job_of(tmp_path) > job
    same_bits(tmp_path, undisturbed(*LONG, *(RANKS if line else [])))


def test_a_job_gets_gpus_with_the_cpus_that_go_with_them(sweep, slurm, tmp_path):
    """This machine's GPUs are files that look like some, so the run itself says that there is no GPU."""
    line = ["trainer=ddp", "trainer.devices=2", "data.resident=false", "data.workers=1", "seed=0"]
    done = sweep(*QUICK, *line).wait(300)
    assert done.code != 0
    assert "Use trainer=cpu, or a machine that has the device" in done.out
    allocated = fields(slurm, job_of(tmp_path))
    assert allocated["CPUs/Task"] == "4"
    assert "gres/gpu=2" in allocated["TRES"] or allocated["TresPerNode"].endswith("gpu:2")


DEVICES = """
import os
from pathlib import Path

import pytorch_lightning as pl


class Devices(pl.Callback):
    def on_train_start(self, trainer, loop):
        name = Path(trainer.default_root_dir).name
        (Path("devices") / name).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        while len(list(Path("devices").iterdir())) < 2:
            pass
"""


def test_two_jobs_on_a_node_have_a_gpu_each(sweep, tmp_path):
    (tmp_path / "devices_of_jobs.py").write_text(DEVICES)
    (tmp_path / "devices").mkdir()
    seen = "+callbacks.seen._target_=devices_of_jobs.Devices"
    done = sweep(
        *QUICK, "seed=0,1", seen, "stack=off", "hydra.launcher.gpus_per_node=1", "+hydra.launcher.nodelist=n1"
    ).wait(300)
    assert done.code == 0, done.out
    assert sorted(path.read_text() for path in (tmp_path / "devices").iterdir()) == ["0", "1"]


def test_two_nodes_of_one_run_are_as_two_processes_of_one(sweep, slurm, tmp_path, undisturbed):
    done = sweep(*LONG, *NODES).wait(600)
    assert done.code == 0, done.out
    slurm.until(lambda: fields(slurm, job_of(tmp_path))["JobState"] == "COMPLETED")
    job = fields(slurm, job_of(tmp_path))
    assert (job["NumNodes"], job["NumTasks"]) == ("2", "2")
    same_bits(tmp_path, undisturbed(*LONG, *RANKS))
    assert not list(tmp_path.glob("outputs/runs/*/rank*.err"))


def test_a_step_of_srun_is_two_nodes(slurm, tmp_path, undisturbed):
    environment = {key: value for key, value in slurm.environment().items() if not key.startswith("PARIBUS_")}
    command = [sys.executable, "-m", "paribus", "node", *LONG, "trainer.strategy=ddp"]
    done = subprocess.run(
        ["srun", "--nodes=2", "--ntasks-per-node=1", *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same_bits(tmp_path, undisturbed(*LONG, *RANKS))
    # Once more: the first node finds the record, and tells the other.
    again = subprocess.run(
        ["srun", "--nodes=2", "--ntasks-per-node=1", *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is done already") == 1

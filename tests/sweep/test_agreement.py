"""Processes of a run decide together: one that is late, diverges, or is told to stop leaves no other waiting."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from paribus.base.torch_internals import shards_on_cpu
from paribus.store.store import Store

BASE = [
    *("model=mlp", "model.width=16", "data.subset=102", "data.batch_size=20", "norm=none"),
    *("trainer=ddp_sim", "trainer.threads=1"),
]


def merged(*overrides):
    """A command line on which later values of a key replace earlier ones."""
    return tuple({item.partition("=")[0]: item for item in overrides}.values())


CALLBACKS = '''
import signal
import time

import pytorch_lightning as pl


class Late(pl.Callback):
    """The last process is slower than the others; a file says that it trains."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def on_update(self, task):
        if task.global_rank == task.trainer.world_size - 1:
            time.sleep(self.seconds)
            if task.data.cursor.step == 10:
                open(f"{task.trainer.default_root_dir}/trains", "w").close()


class Stuck(pl.Callback):
    """The second process never comes back, whatever it is told."""

    def on_update(self, task):
        if task.global_rank == 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            open(f"{task.trainer.default_root_dir}/stuck", "w").close()
            while True:
                time.sleep(1)
'''
LATE = ["+callbacks.late._target_=callbacks_of_ranks.Late", "+callbacks.late.seconds=0.1"]


@pytest.fixture(autouse=True)
def _callbacks(tmp_path, monkeypatch):
    (tmp_path / "callbacks_of_ranks.py").write_text(CALLBACKS)
    monkeypatch.syspath_prepend(str(tmp_path))


def wait_for(folder, pattern, process):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)


def processes_of(session):
    """Those of a session that still live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("norm", [pytest.param("none", marks=pytest.mark.slow), "batch"])
def test_a_run_that_diverges_ends_although_one_process_is_late(paribus, tmp_path, norm):
    """Within an epoch, after a few updates: the first that sees it must not leave alone."""
    quick = [*BASE, f"norm={norm}", "data.drop_last=true", "data.subset=null", "budget.epochs=2"]
    result = paribus("train", *merged(*quick, *LATE, "loss=mse", "optimizer.lr=1e30", "optimizer.momentum=0"))
    assert result.code == 0, result.err
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "diverged"
    assert record.timing["steps"] < 40  # of 57 an epoch


def test_a_budget_in_seconds_ends_for_all_at_once_and_leaves_one_network(paribus, tmp_path):
    """The schedule follows the clock: with clocks of their own, processes would step at other rates."""
    quick = [*BASE, "budget.seconds=1", "scheduler=linear", "trainer.precision=64-true"]
    result = paribus("train", *merged(*quick, *LATE))
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert 5 <= record.timing["steps"] <= 12
    again = paribus("evaluate", record.id)
    for line in again.out.splitlines():  # the mean over both processes, from the weights of the first
        key, value, *_ = line.split()
        assert float(value) == pytest.approx(record.metrics[key], rel=1e-9)


@pytest.mark.slow
def test_recomputed_statistics_are_those_of_all_processes(paribus, tmp_path):
    quick = [*BASE, "norm=batch", "data.drop_last=true", "budget.epochs=2", "trainer.precision=64-true"]
    result = paribus("train", *merged(*quick, "optimizer=schedulefree_sgd", "evaluation.batch_size=20"))
    assert result.code == 0, result.err
    [record] = Store(tmp_path / "outputs").scan()
    again = paribus("evaluate", record.id)
    assert len(again.out.splitlines()) == 3, again.err
    for line in again.out.splitlines():
        key, value, *_ = line.split()
        assert float(value) == pytest.approx(record.metrics[key], rel=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(not shards_on_cpu(), reason="this torch shards on GPUs only")
def test_sharded_processes_evaluate_equally_many_batches_of_samples_that_are_read(paribus, tmp_path):
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for part, number in (("train", 10), ("test", 3)):
        for label in range(2):
            folder = tmp_path / "images" / part / f"c{label}"
            folder.mkdir(parents=True)
            for image in range(number):
                pixels = torch.randint(0, 256, (8, 8, 3), generator=generator, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(folder / f"{image}.png")
    images = [
        *("model=mlp", "model.width=8", "norm=none", "data=image_folder", "data.source.root=images"),
        *("data.source.image_size=8", "data.validation=5", "data.resident=false", "data.batch_size=4"),
        *("budget.epochs=1", "evaluation.batch_size=1"),
    ]
    assert paribus("train", *images).code == 0
    result = paribus("train", *images, "trainer=fsdp", "trainer.accelerator=cpu")
    assert result.code == 0, result.err
    one, two = sorted(Store(tmp_path / "outputs").scan(), key=lambda record: record.provenance["world_size"])
    for key in ("val/loss", "test/loss", "test/acc"):
        assert two.metrics[key] == pytest.approx(one.metrics[key], rel=1e-4)


def test_a_stopped_run_is_saved_by_all_and_goes_on_to_the_same_bits(commands, tmp_path):
    """SIGTERM reaches the process that was started; it tells its ranks."""
    long = [*BASE, "budget.updates=120", "optimizer.lr=0.01", "callbacks.checkpoints.every_seconds=1000"]
    slow = ["+callbacks.late._target_=callbacks_of_ranks.Late", "+callbacks.late.seconds=0.005"]
    for name, stops in (("stopped", True), ("whole", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "callbacks_of_ranks.py").write_text(CALLBACKS)
        process = commands.start(tmp_path / name, "train", *long, *slow)
        if stops:
            wait_for(tmp_path / name, "outputs/runs/*/trains", process)
            process.send_signal(signal.SIGTERM)
            stopped = process.wait()
            assert stopped.code == 130, stopped.out
            assert "resumes" in stopped.out
            process = commands.start(tmp_path / name, "train", *long, *slow)
        done = process.wait()
        assert done.code == 0, done.out
    [one], [two] = (list(Store(tmp_path / name / "outputs").scan()) for name in ("stopped", "whole"))
    assert one.metrics == two.metrics
    folders = [Store(tmp_path / name / "outputs").run_dir(one.id) for name in ("stopped", "whole")]
    assert all(torch.equal(value, state(folders[1])[key]) for key, value in state(folders[0]).items())


@pytest.mark.slow
def test_a_second_ctrl_c_ends_a_run_that_hangs(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "paribus", "train", *BASE, "+callbacks.stuck._target_=callbacks_of_ranks.Stuck"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path, "outputs/runs/*/stuck", process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None  # it waits for the ranks to save
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert time.monotonic() - started < 5
    deadline = time.monotonic() + 5
    while processes_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(process.pid) == []
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "running"  # no failure: the same command resumes


CLUSTER = """
import signal, sys
from paribus.cli.main import main

def requeue(number, frame):
    print("requeued", flush=True)
    sys.exit(75)

signal.signal(signal.SIGUSR2, requeue)
sys.argv = ["paribus", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_warning_of_a_cluster_reaches_every_process_and_one_saves_and_asks_for_more_time(
    commands, tmp_path, processes
):
    """SLURM signals all processes of a step, loader workers and ranks as well."""
    (tmp_path / "cluster.py").write_text(CLUSTER)
    command = [
        *BASE[:5],
        *(["trainer=ddp_sim"] if processes > 1 else ["data.resident=false", "data.workers=2"]),
        *("trainer.threads=1", "budget.updates=120", "callbacks.checkpoints.every_seconds=1000"),
        *("+callbacks.late._target_=callbacks_of_ranks.Late", "+callbacks.late.seconds=0.01"),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    process = subprocess.Popen(
        [sys.executable, "cluster.py", "train", *command],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path, "outputs/runs/*/trains", process)
    os.killpg(process.pid, signal.SIGUSR2)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75, out
    assert out.count("requeued") == 1
    assert "Traceback" not in out
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "running"
    folder = Store(tmp_path / "outputs").run_dir(record.id)
    cursor = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["paribus"]["cursor"]
    assert 0 < cursor["step"] < 120
    again = commands.run(tmp_path, "train", *command)
    assert again.code == 0, again.out
    assert json.loads((folder / "record.json").read_text())["timing"]["steps"] == 120

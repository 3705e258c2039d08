"""The local launcher: failures by type, retries, time limits, Ctrl-C, two launchers at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paribus.store.store import Store
from paribus.sweep.local import last_progress

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2"]
ENDLESS = ["model=mlp", "model.width=8", "budget.seconds=600", "callbacks.checkpoints.every_seconds=0.1"]

TROUBLE = """
import os
import time

import pytorch_lightning as pl


class Trouble(pl.Callback):
    '''seed 1 kills its process, seed 2 runs out of memory, seed 3 has a bug, seed 4 exits; the first two only once.'''

    def on_train_start(self, trainer, pl_module):
        with open(f"{trainer.default_root_dir}/trained.txt", "a") as file:
            file.write("started\\n")
        first = len(open(f"{trainer.default_root_dir}/trained.txt").readlines()) == 1
        seed = pl_module.data.order_seed
        print("a line of the user's own", flush=True)
        if seed == 1 and first:
            os.kill(os.getpid(), 9)
        if seed == 2 and first:
            raise MemoryError("too little")
        if seed == 3:
            raise ZeroDivisionError("a bug")
        if seed == 4:
            os._exit(7)
"""


@pytest.fixture
def trouble(tmp_path, monkeypatch):
    (tmp_path / "trouble.py").write_text(TROUBLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "+callbacks.trouble._target_=trouble.Trouble"


def test_each_failure_has_its_type_and_its_policy(paribus, tmp_path, trouble):
    result = paribus("train", "-m", *QUICK, trouble, "seed=range(5)")
    assert result.code == 1
    store = Store(tmp_path / "outputs")
    records = {record.seed: record for record in store.scan()}
    assert {seed: records[seed].status for seed in (0, 1, 2, 3)} == {0: "done", 1: "done", 2: "done", 3: "failed"}
    assert records[3].failure == {"type": "bug", "message": "ZeroDivisionError: a bug"}
    starts = {seed: (store.run_dir(r.id) / "trained.txt").read_text().count("started") for seed, r in records.items()}
    assert starts == {0: 1, 1: 2, 2: 2, 3: 1, 4: 1}
    assert "killed: ended by SIGKILL" in result.err
    assert "out_of_memory: MemoryError: too little" in result.err
    assert result.err.count("tried again") == 2
    assert 'raise ZeroDivisionError("a bug")' in result.err  # the traceback, and where the whole of it is
    assert str(store.run_dir(records[3].id).relative_to(tmp_path) / "train.log") in result.err
    assert "ended with exit code 7" in result.err
    assert "2 runs failed; the same command tries them again" in result.err
    assert "a line of the user's own" in (store.run_dir(records[0].id) / "output.log").read_text()


def test_the_first_failure_stops_the_others_if_so_wished(paribus, tmp_path, trouble):
    stop = ["hydra.launcher.on_failure=stop", "hydra.launcher.slots=1"]
    result = paribus("train", "-m", *QUICK, trouble, "seed=3,0", *stop)
    assert result.code == 1
    assert [record.seed for record in Store(tmp_path / "outputs").scan() if record.status == "done"] == [0]
    result = paribus("train", "-m", *QUICK, trouble, "seed=3,5", *stop)
    assert "ZeroDivisionError" in result.err


def test_a_time_limit_saves_and_records(paribus, tmp_path):
    result = paribus("train", "-m", *ENDLESS, "seed=0", "hydra.launcher.time_limit=3s")
    assert result.code == 1
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "failed"
    assert record.failure == {"type": "timeout", "message": "took longer than 3 s"}
    assert (tmp_path / "outputs" / "runs" / record.id / "checkpoints" / "last.ckpt").exists()


def test_a_run_that_another_process_trains_is_waited_for(paribus, tmp_path, compose):
    from paribus.config.identity import run_id

    store = Store(tmp_path / "outputs")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\nfrom paribus.store.store import Store\n"
            f"with Store({str(store.root)!r}).lock({run_id(compose(*QUICK))!r}):\n"
            "    print('held', flush=True)\n    time.sleep(3)\n",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    result = paribus("train", "-m", *QUICK, "seed=0,1")
    assert holder.poll() == 0  # it let go before the command was done
    holder.stdout.close()
    assert result.code == 0, result.err
    assert {record.status for record in store.scan()} == {"done"}


def start(folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "paribus", "train", "-m", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_launchers_train_no_run_twice_and_both_finish(tmp_path, trouble):
    commands = [start(tmp_path, *QUICK[:-1], trouble, "budget.epochs=20", "seed=range(5,11)") for _ in range(2)]
    errors = [command.communicate(timeout=300)[1] for command in commands]
    assert [command.returncode for command in commands] == [0, 0], errors
    runs = list((tmp_path / "outputs" / "runs").iterdir())
    assert len(runs) == 6
    for run in runs:
        assert json.loads((run / "record.json").read_text())["status"] == "done"
        assert (run / "trained.txt").read_text() == "started\n"


def left(group):
    """Processes of a process group that live on after a second."""
    time.sleep(1.0)
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = entry.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        found += [entry.parent.name] if int(own) == group and state != "Z" else []
    return found


@pytest.mark.parametrize("presses", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ctrl_c_leaves_every_run_resumable(tmp_path, presses):
    command = start(tmp_path, *ENDLESS, "seed=0,1,2", "hydra.launcher.slots=2")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt"))) < 2:
        assert time.monotonic() < deadline
        assert command.poll() is None
        time.sleep(0.05)
    for _ in range(presses):
        os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to every process
        time.sleep(0.3)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130, errors
    assert ("the same command resumes" in errors) or ("stopped at once" in errors)
    assert "Traceback" not in errors
    assert left(command.pid) == []
    for record in Store(tmp_path / "outputs").scan():
        assert record.status == "running"


def test_warnings_of_libraries_are_no_progress(tmp_path):
    output = tmp_path / "job.log"
    assert last_progress(output) == ""
    line = "epoch 4 · 290/395 updates · train/loss 2.297"
    output.write_text(f"epoch 1 · 9/395 updates\n{line}\nUserWarning: slow\n  return func(*args, **kwargs)\n")
    assert last_progress(output) == line

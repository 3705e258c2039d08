"""Bits that flip, outputs that vanish, and disks that are full: noticed, named, and mended by the same command."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=16", "data.subset=100", "data.batch_size=20", "budget.epochs=3"]
ROOT = os.geteuid() == 0


def only_run(folder):
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def running(run):
    """As if it had been killed just before its record was written."""
    content = json.loads((run / "record.json").read_text())
    content.pop("checksums")
    (run / "record.json").write_text(json.dumps({**content, "status": "running", "metrics": {}}))


def metrics(run):
    return json.loads((run / "record.json").read_text())["metrics"]


@pytest.fixture
def done(paribus, tmp_path):
    assert paribus("train", *QUICK).code == 0
    return only_run(tmp_path)


def test_one_bit_of_a_checkpoint_is_noticed_wherever_it_is(paribus, done):
    path = done / "checkpoints" / "last.ckpt"
    sound = path.read_bytes()
    draw = random.Random(0)
    for _ in range(40):
        flip(path, draw.randrange(len(sound)), draw.randrange(8))
        result = paribus("evaluate", done.name)
        assert result.code == 2
        assert "its checksum is another one" in result.err
        path.write_bytes(sound)
    for command in (["curvature", "--refine", "0"], ["landscape", "--points", "3"]):
        flip(path, len(sound) // 2)
        assert paribus(*command, done.name).code == 2
        path.write_bytes(sound)
    assert paribus("evaluate", done.name).code == 0


def test_a_checkpoint_without_a_record_of_it_is_known_by_its_own_checksums(paribus, done):
    """While a run trains, and in records of before, there is no checksum: the archive has one of each tensor."""
    before = metrics(done)
    path = done / "checkpoints" / "last.ckpt"
    inside = path.read_bytes().index(b"data/0") + 200  # within the first tensor
    flip(path, inside)
    running(done)
    assert "CRC" in paribus("evaluate", done.name).err or "checksum of" in paribus("evaluate", done.name).err
    assert paribus("train", *QUICK).code == 0
    assert (done / "checkpoints" / "last.damaged").exists()
    assert "the checksum of" in (done / "train.log").read_text()
    assert metrics(done) == before


@pytest.mark.parametrize("sweep", [[], pytest.param(["-m"], marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["history.csv", "config.yaml"])
@pytest.mark.parametrize("gone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_finished_run_whose_files_were_changed_is_trained_again(paribus, done, name, gone, sweep):
    before = metrics(done)
    history = (done / "history.csv").read_text()
    (done / name).unlink() if gone else flip(done / name, -20)
    result = paribus("train", *sweep, *QUICK)
    assert result.code == 0, result.err
    assert metrics(done) == before
    assert len((done / "history.csv").read_text().splitlines()) == len(history.splitlines())
    assert "is done already" in paribus("train", *QUICK).err


def test_a_changed_configuration_is_not_evaluated(paribus, done):
    flip(done / "config.yaml", -20)
    assert "config.yaml must be as it was" in paribus("evaluate", done.name).err
    assert paribus("rerun", done.name).code == 2


def test_a_record_of_before_is_believed(paribus, done):
    content = json.loads((done / "record.json").read_text())
    del content["checksums"]
    (done / "record.json").write_text(json.dumps(content))
    (done / "history.csv").write_text("epoch,step\n")
    assert "is done already" in paribus("train", *QUICK).err
    assert paribus("evaluate", done.name).code == 0


def test_checkpoints_that_were_removed_to_save_space_are_no_damage(paribus, done):
    for path in (done / "checkpoints").iterdir():
        path.unlink()
    assert "is done already" in paribus("train", *QUICK).err
    assert "there is no checkpoint" in paribus("evaluate", done.name).err


VANISH = """
import shutil
import pytorch_lightning as pl

class Vanish(pl.Callback):
    def __init__(self, what: str):
        self.what = what
    def on_train_epoch_end(self, trainer, module):
        for path in __import__("pathlib").Path(".").glob(self.what):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.what = "nothing"
"""


# The callback is a stranger's, so the runs of the sweep go alone: one after the other, or each would remove what the
# other one is removing.
@pytest.mark.parametrize("stack", [[], ["-m", "seed=0,1", "hydra.launcher.slots=1"]], ids=["one", "sweep"])
@pytest.mark.parametrize(
    "what",
    [
        pytest.param("outputs/runs", marks=pytest.mark.slow),
        "outputs/runs/*",
        pytest.param("outputs/runs/*/config.yaml", marks=pytest.mark.slow),
    ],
)
def test_outputs_that_vanish_while_a_run_trains(commands, tmp_path, what, stack):
    (tmp_path / "vanishing.py").write_text(VANISH)
    own = ["+callbacks.vanish._target_=vanishing.Vanish", f"+callbacks.vanish.what='{what}'"]
    line = ["train", *stack, *QUICK, *own]
    result = commands.run(tmp_path, *line)
    assert result.code == 1, result.out
    assert "removed during the training" in result.out
    assert "Traceback" not in result.out
    for run in (tmp_path / "outputs" / "runs").iterdir():
        record = Store(tmp_path / "outputs").read(run.name)
        assert record is None or (record.status, record.failure["type"]) == ("failed", "storage")
    (tmp_path / "vanishing.py").write_text(VANISH.replace("for path", "return\n        for path"))
    # The callback is another one now, which is named otherwise.
    again = commands.run(tmp_path, *line, "on_change=retrain")
    assert again.code == 0, again.out
    for run in (tmp_path / "outputs" / "runs").iterdir():
        assert Store(tmp_path / "outputs").read(run.name).status == "done"
        assert len((run / "history.csv").read_text().splitlines()) == 4


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB at ./outputs, with all but a given number of bytes taken."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    mounted = ROOT and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("only root can mount a small disk")

    def leave(room):
        ballast = folder / "ballast"
        ballast.unlink(missing_ok=True)
        status = os.statvfs(folder)
        size = status.f_bavail * status.f_frsize - room
        if size > 0:
            ballast.write_bytes(b"\0" * size)

    yield leave
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    "room",
    [12288, *[pytest.param(room, marks=pytest.mark.slow) for room in (0, 4096, 8192, 16384, 24576, 40960, 65536)]],
)
@pytest.mark.parametrize("line", [[], ["-m", "seed=0,1", "stack=off"], ["-m", "seed=0,1", "stack=2"]],
                         ids=["one", "sweep", "stack"])  # fmt: skip
def test_a_full_disk(commands, tmp_path, small_disk, room, line):
    """Whichever file it is that does not fit: one message, nothing left over, and the same command resumes later."""
    command = ["train", *line, *QUICK, "logger=csv"]
    small_disk(room)
    result = commands.run(tmp_path, *command)
    assert "Traceback" not in result.out, result.out
    assert result.code in (0, 1), result.out
    if room < 16384:
        assert result.code == 1, result.out
    if result.code:
        assert "storage" in result.out
        assert "No space left" in result.out or "the disk is full" in result.out, result.out
    assert not [path for path in Path(tmp_path, "outputs").rglob("*.tmp")]
    small_disk(1_500_000)
    again = commands.run(tmp_path, *command)
    assert again.code == 0, again.out
    for run in (tmp_path / "outputs" / "runs").iterdir():
        record = Store(tmp_path / "outputs").read(run.name)
        assert record is not None
        assert record.status == "done"

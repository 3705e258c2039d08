"""A record is used only for what it was trained with: the same sources, files and data, whatever the id says."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image

RUN = ["budget.updates=2", "norm=none", "data.subset=40", "batch_size=b8", "trainer.threads=1"]
OWN = ["model=linear", "model._target_=ownnet.Net", "+model.weights=pre.pt", *RUN]
NET = """
from torch import nn
from ownscale import SCALE

class Net(nn.Sequential):
    def __init__(self, shape, num_outputs, norm=None, weights=None):
        super().__init__(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_outputs))

    def forward(self, x):
        return super().forward(x) * SCALE
"""


@pytest.fixture
def own(paribus, tmp_path, monkeypatch):
    """A network, a file and a data source of the user's own, in the current folder."""
    (tmp_path / "ownnet.py").write_text(NET)
    (tmp_path / "ownscale.py").write_text("SCALE = 1.0\n")
    (tmp_path / "pre.pt").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("ownnet", "ownscale", "owndata"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return paribus


def records(folder):
    found = [json.loads(path.read_text()) for path in (folder / "outputs" / "runs").glob("*/record.json")]
    return {each["id"]: each for each in found}


def test_a_changed_source_or_file_is_named_and_not_reused(own, tmp_path):
    assert own("train", *OWN).code == 0
    assert "is done already" in own("train", *OWN).err
    (tmp_path / "ownscale.py").write_text("SCALE = 2.0\n")
    (tmp_path / "pre.pt").write_text("2")
    found = own("train", *OWN)
    assert found.code == 2
    assert "the source of ownscale and the file of model.weights=pre.pt changed" in found.err
    assert "on_change=retrain" in found.err
    assert "on_change=reuse" in found.err
    reused = own("train", *OWN, "on_change=reuse")
    assert reused.code == 0
    assert "it is used nevertheless" in reused.err
    again = own("train", *OWN, "on_change=retrain")
    assert again.code == 0
    assert "from the beginning" in again.err
    [id] = records(tmp_path)
    assert (tmp_path / "outputs" / "replaced" / f"{id}-1" / "record.json").exists()
    assert "is done already" in own("train", *OWN).err


def test_the_record_says_the_users_commit(own, tmp_path):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    (tmp_path / ".gitignore").write_text("outputs\n__pycache__\n")
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert own("train", *OWN).code == 0
    [record] = records(tmp_path).values()
    assert record["provenance"]["project"] == {"commit": commit.stdout.strip(), "dirty": False}
    assert str(tmp_path) not in json.dumps(record["provenance"])


def test_plan_and_table_name_what_has_changed_and_a_sweep_does_not_mix(own, tmp_path):
    sweep = [*OWN, "seed=0,1", "stack=off"]
    assert own("train", "-m", *sweep).code == 0
    (tmp_path / "ownscale.py").write_text("SCALE = 2.0\n")
    plan = own("plan", *sweep)
    assert "2 changed" in plan.out
    assert "the source of ownscale" in plan.out
    assert "2 done" in own("plan", *sweep, "on_change=reuse").out
    table = own("table")
    assert table.code == 0
    assert "the source of ownscale" in table.err
    stopped = own("train", "-m", *sweep)
    assert stopped.code == 2
    assert "2 finished runs" in stopped.err
    before = records(tmp_path)
    assert own("train", "-m", *sweep, "on_change=reuse").code == 0
    assert records(tmp_path) == before
    assert own("train", "-m", *sweep, "on_change=retrain").code == 0
    after = records(tmp_path)
    assert set(after) == set(before)
    assert all(after[id]["metrics"] != before[id]["metrics"] for id in after)
    assert own("train", "-m", *sweep, "on_change=retrain").code == 0
    assert records(tmp_path) == after  # nothing has changed since


def images(folder, seed):
    generator = np.random.default_rng(seed)
    for part, count in (("train", 12), ("test", 4)):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")


FOLDER = [
    "data=image_folder",
    "data.source.image_size=8",
    "batch_size=b8",
    "budget.updates=2",
    "norm=none",
    "model=linear",
]


def test_another_folder_is_another_run_and_other_images_in_it_are_named(paribus, tmp_path):
    images(tmp_path / "A", 0)
    images(tmp_path / "B", 1)
    assert paribus("train", *FOLDER, "data.source.root=A").code == 0
    other = paribus("train", *FOLDER, "data.source.root=B")
    assert other.code == 0
    assert "already" not in other.err
    assert len({each["comparable"]["data"] for each in records(tmp_path).values()}) == 2
    assert "is done already" in paribus("train", *FOLDER, "data.source.root=A").err
    images(tmp_path / "A", 2)
    found = paribus("train", *FOLDER, "data.source.root=A")
    assert found.code == 2
    assert "the data of data.source.root=A" in found.err


SOURCE = """
from pathlib import Path
import torch
from paribus.datasets.source import RawData

class Source:
    name, shape, num_classes = "own", (1, 4, 4), 2

    def load(self):
        generator = torch.Generator().manual_seed(int(Path("hidden.txt").read_text()))
        x, y = torch.randn((60, 1, 4, 4), generator=generator), torch.arange(60) % 2
        return RawData(x, y, x[:20] + 1, y[:20])
"""


@pytest.mark.parametrize("multirun", [False, True])
def test_the_data_of_a_strangers_source_are_loaded_and_compared(own, tmp_path, multirun):
    """It may read a file that no config names."""
    (tmp_path / "owndata.py").write_text(SOURCE)
    (tmp_path / "hidden.txt").write_text("1")
    line = ["train", *(["-m"] if multirun else []), "data.source._target_=owndata.Source", "data.validation=10"]
    line += ["budget.updates=2", "batch_size=b8", "norm=none", "model=linear"]
    assert own(*line).code == 0
    same = own(*line)
    assert same.code == 0
    (tmp_path / "hidden.txt").write_text("2")
    found = own(*line)
    assert found.code == 2
    assert "the data (fingerprint" in found.err
    assert own(*line, "on_change=retrain").code == 0
    assert own(*line).code == 0


def test_an_interrupted_run_does_not_go_on_with_other_code(own, tmp_path):
    assert own("train", *OWN).code == 0
    [(id, record)] = records(tmp_path).items()
    folder = tmp_path / "outputs" / "runs" / id
    (folder / "record.json").write_text(json.dumps({**record, "status": "running"}))
    (tmp_path / "ownscale.py").write_text("SCALE = 2.0\n")
    found = own("train", *OWN)
    assert found.code == 2
    assert "was interrupted" in found.err
    assert own("train", *OWN, "on_change=retrain").code == 0


def test_a_failed_run_without_a_checkpoint_begins_again_with_the_mended_code(own, tmp_path):
    (tmp_path / "ownscale.py").write_text("SCALE = None\n")
    assert own("train", *OWN).code != 0
    (tmp_path / "ownscale.py").write_text("SCALE = 1.0\n")
    __import__("sys").modules.pop("ownnet", None)
    __import__("sys").modules.pop("ownscale", None)
    assert own("train", *OWN).code == 0

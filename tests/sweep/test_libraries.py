"""Installed libraries are imported once for all jobs of a sweep, where that leaves a process that can fork."""

import importlib
import sys

import pytest

from paribus.sweep.fork import ForkServer
from paribus.sweep.libraries import import_once, imported_since

LIBRARIES = {
    "site-packages/quiet_library/__init__.py": "import os\nwhere = os.getpid()\n",
    "site-packages/quiet_library/part.py": "",
    "site-packages/threaded_library.py": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
    "site-packages/library_of_mine.py": "import module_of_mine\n",
    "site-packages/broken_library.py": "raise ImportError('not in a sweep')\n",
    "module_of_mine.py": "",
    "asking_for_libraries.py": "import sys\n\n\ndef asked(*, server):\n"
    "    names = ('quiet_library', 'quiet_library.part', 'threaded_library', 'broken_library', 'module_of_mine')\n"
    "    return [name for name in names if name in sys.modules]\n",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, text in LIBRARIES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_what_a_job_imported_is_told_in_order_without_the_users_own_modules(place, monkeypatch):
    names = ("module_of_mine", "quiet_library.part", "quiet_library")
    known = set(sys.modules)
    with monkeypatch.context():
        for name in names:
            importlib.import_module(name)
        found = imported_since(known)
        for name in names:
            del sys.modules[name]
    assert [name for name in found if name in names] == ["quiet_library", "quiet_library.part"]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is shared where threads can't be counted")
@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["quiet_library", "quiet_library.part"], ["quiet_library", "quiet_library.part"]),
        (["quiet_library", "threaded_library"], []),
        pytest.param(["quiet_library", "library_of_mine"], [], marks=pytest.mark.slow),
        pytest.param(["quiet_library", "broken_library"], [], marks=pytest.mark.slow),
        pytest.param(["not_there_at_all"], [], marks=pytest.mark.slow),
    ],
)
def test_jobs_share_libraries_that_leave_nothing_behind(place, names, shared):
    server = ForkServer.start()
    try:
        server.fork(importlib.import_module("asking_for_libraries").asked, (), before=[(import_once, (names,))])
        while not (ended := server.ended(1.0)):
            pass
    finally:
        server.close()
    assert ended[0].result == shared


PROJECT = {
    "mine.py": """
import os
import pathlib
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        import quiet_library
        import module_of_mine

        self.net = torch.nn.Linear(2, 1)
        self.imported_here = float(quiet_library.where == os.getpid())

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/imported_here", self.imported_here)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), 2)

    val_dataloader = train_dataloader
""",
    "conf/task/mine.yaml": """
defaults: [lightning]
module: {_target_: mine.Lit}
metrics: {imported_here: {better: lower}}
monitor: val/imported_here
""",
}


@pytest.mark.needs("lightning")
@pytest.mark.skipif(sys.platform != "linux", reason="nothing is shared where threads can't be counted")
def test_only_the_first_jobs_of_a_sweep_import_a_library(place, commands):
    from paribus.store.store import Store

    for name, text in PROJECT.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    line = ["train", "-m", "task=mine", "seed=range(6)", "budget.epochs=1", "hydra.launcher.slots=2"]
    done = commands.run(place, *line)
    assert done.code == 0, done.out
    records = list(Store(place / "outputs").scan())
    assert len(records) == 6
    assert 1 <= sum(record.metrics["val/imported_here"] for record in records) <= 2

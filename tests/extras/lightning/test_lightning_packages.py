"""Lightning has two names: a module that imports `lightning` is trained by the Trainer of that package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lightning_fabric
import pytest
import pytorch_lightning

MODULE = Path(__file__).parents[2] / "helpers" / "modules.py"


@pytest.fixture
def lightning(tmp_path):
    """The package `lightning`, which holds the code of the other two under its own name, and a module that imports it.
    Made here, as its distribution is made, so that nothing need be installed."""
    root = tmp_path / "site-packages" / "lightning"
    for package, name in ((pytorch_lightning, "pytorch"), (lightning_fabric, "fabric")):
        shutil.copytree(Path(package.__file__).parent, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    names = (("pytorch_lightning", "lightning.pytorch"), ("lightning_fabric", "lightning.fabric"))
    for path in root.rglob("*.py"):
        text = changed = path.read_text(encoding="utf-8")
        for old, new in names:
            changed = changed.replace(old, new)
        if changed != text:
            path.write_text(changed, encoding="utf-8")
    (root / "__init__.py").write_text("from lightning.pytorch import *\n")
    text = MODULE.read_text().replace("import pytorch_lightning as pl", "import lightning.pytorch as pl")
    (tmp_path / "theirs.py").write_text(text)
    return tmp_path


SCRIPT = """
import paribus
from paribus.base.errors import UserError

line = ["task=lightning", "task.module={_target_: theirs.Regressor}", "task.datamodule={_target_: theirs.Data}",
        "task.metrics={mse: {better: lower}}", "task.monitor=val/mse", "budget.epochs=2", "paths.outputs=outputs"]
stop = "+callbacks.stop={_target_: PACKAGE.callbacks.EarlyStopping, monitor: val/mse}"
run = paribus.train(*line, stop.replace("PACKAGE", "lightning.pytorch"), "logger=csv")
assert run.status == "done"
assert run.evaluate() == {"test/mse": run.metrics["test/mse"]}
try:
    paribus.train(*line, stop.replace("PACKAGE", "pytorch_lightning"))
except UserError as error:
    assert "must be a callback of lightning.pytorch, the package of the module" in str(error)
    print("as it should be")
"""


@pytest.mark.slow
def test_a_module_of_the_other_package(lightning):
    path = [str(lightning), str(lightning / "site-packages"), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=lightning, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "as it should be"), done.stderr

"""The checks of every hostile input: nothing is run, written elsewhere or leaked, and nothing ends in a traceback."""

import json
import os
import re
import shutil
import warnings

import pytest
import torch

SECRET = "canary-7f3a91c2"  # of the environment, and of a file beside the outputs
EXECUTED = "executed"  # the file that hostile code would make
QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "norm=none"]
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def tree(folder):
    """path -> content of every file below a folder, but outputs."""
    found = {}
    for root, folders, files in os.walk(folder):
        if "outputs" in folders:
            folders.remove("outputs")
        for name in files:
            path = os.path.join(root, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


@pytest.fixture
def attack(paribus, tmp_path, monkeypatch):
    """Runs a command on what a test has laid out in the current folder, and checks what must hold whatever it was."""
    monkeypatch.setenv("SECRET", SECRET)

    def run(*arguments, code):
        (tmp_path / "secret.yaml").write_text(f"token: {SECRET}\n")
        arguments = [str(each) for each in arguments]
        before = tree(tmp_path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = paribus(*arguments)
        text = result.out + result.err
        assert result.code == code, text
        assert "Traceback" not in text
        assert not _CONTROL.search(text), ascii(text)
        assert SECRET not in text + "".join(str(each.message) for each in said)
        assert not any(EXECUTED in files for _, _, files in os.walk(tmp_path))
        assert tree(tmp_path) == before
        for root, _, files in os.walk(tmp_path / "outputs"):
            for name in files:
                with open(os.path.join(root, name), "rb") as file:
                    assert SECRET.encode() not in file.read(), os.path.join(root, name)
        return result

    return run


@pytest.fixture(scope="session")
def trained_outputs(tmp_path_factory):
    """The outputs of one small run."""
    from paribus.config.compose import load, resolved
    from paribus.config.run import Run
    from paribus.run.execute import train

    torch.set_num_threads(1)  # as in every test: sums have one order
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    config = load([*QUICK, f"paths.outputs={outputs}"])
    train(Run.parse(resolved(config)), dict(config.hydra.runtime.choices), QUICK)
    return outputs


@pytest.fixture
def trained(trained_outputs, tmp_path):
    """A copy of that run in the current folder: somebody else's, who may have changed it."""
    shutil.copytree(trained_outputs, tmp_path / "outputs")
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    return run


@pytest.fixture
def record(trained):
    """The content of the record of that run."""
    return json.loads((trained / "record.json").read_text())

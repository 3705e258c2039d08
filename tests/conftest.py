import sys
from dataclasses import dataclass

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    """Tests are deterministic: one thread, so that sums have one order, and a fixed global seed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def paribus(tmp_path, monkeypatch, capsys):
    """Runs a `paribus` command in this process, in an empty folder, as a shell would: exit code, output, errors."""
    from paribus.cli.failure import guarded
    from paribus.cli.main import run_command

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARIBUS_OUTPUTS", raising=False)
    monkeypatch.delenv("PARIBUS_DATA", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["paribus", *arguments])
        capsys.readouterr()
        code = guarded(run_command)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def compose():
    """The resolved configuration of a command line."""
    from paribus.plan.compose import load, resolved

    return lambda *overrides: resolved(load(list(overrides)))

import functools
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import system
import torch

from paribus import notes
from paribus.base.extras import deleted
from paribus.base.lightning_internals import remember_external_callbacks

TESTS, NOTES = Path(__file__).parent, Path(notes.__file__).parent


def pytest_configure():
    """A shell's background jobs ignore Ctrl-C, and so does what they start: commands that tests interrupt, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Tests marked `needs(...)` are skipped where the system or the installation lacks what they need."""
    for mark in item.iter_markers("needs"):
        for need in mark.args:
            if not _here(need):
                pytest.skip(system.reason(need))
    try:
        return (yield)
    except ModuleNotFoundError as error:
        _skip_without_extra(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except ModuleNotFoundError as error:
        _skip_without_extra(error)
        raise


def pytest_pycollect_makemodule(module_path, parent):
    return File.from_parent(parent, path=module_path)


class File(pytest.Module):
    """A file of tests, skipped as a whole where it imports an extra that was deleted."""

    def collect(self):
        try:
            return super().collect()
        except self.CollectError as error:
            _skip_without_extra(error.__cause__)
            raise


def _skip_without_extra(error):
    """Skips what imports a deleted extra by a test, or by a check of the notes; any other file may not import it."""
    if (extra := deleted(error)) is not None:
        frames = traceback.extract_tb(error.__traceback__)
        asking = [each.filename for each in frames if "importlib" not in each.filename][-1]
        if asking.startswith((str(TESTS), str(NOTES))):
            pytest.skip(system.reason(extra), allow_module_level=True)


@functools.cache
def _here(need):
    return system.NEEDS[need].here()


def pytest_terminal_summary(terminalreporter):
    """One line at the end says which tests were skipped for want of what, and what to install."""
    skipped = terminalreporter.stats.get("skipped", [])
    said = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    if line := system.summary(text.removeprefix("Skipped: ") for text in said):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    """Tests are deterministic: one thread, so that sums have one order, and a fixed global seed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _metadata_of_packages_is_read_once():
    """As the processes that train the runs of a sweep do."""
    remember_external_callbacks()


@pytest.fixture(autouse=True)
def _one_module_of_each_name():
    """A test that imports modules again leaves none behind: later ones would find two modules of one name."""
    yield
    for name in [name for name in sys.modules if name.startswith("paribus.")]:
        module, (package, _, last) = sys.modules[name], name.rpartition(".")
        if isinstance(found := vars(sys.modules[package]).get(last), ModuleType):
            assert found is module, f"{name} was imported again: a later test would find another module"


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def paribus(tmp_path, monkeypatch, capsys):
    """Runs a `paribus` command in this process, in an empty folder, as a shell would: exit code, output, errors."""
    from paribus.cli.main import run_command
    from paribus.sweep.failure import guarded

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARIBUS_OUTPUTS", raising=False)
    monkeypatch.delenv("PARIBUS_DATA", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    known = set(sys.modules)

    def run(*arguments: str) -> Result:
        if (extra := system.COMMANDS.get(arguments[0])) is not None and not _here(extra):
            pytest.skip(system.reason(extra))
        monkeypatch.setattr(sys, "argv", ["paribus", *arguments])
        capsys.readouterr()
        code = guarded(run_command)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield run
    for name in set(sys.modules) - known:  # the modules of this test's folder, which the next must not find
        spec = getattr(sys.modules[name], "__spec__", None)
        if str(getattr(spec, "origin", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def commands():
    """Runs `paribus` commands in processes of their own, in a folder that is given."""
    from commands import Commands

    commands = Commands()
    yield commands
    commands.server.close()


@pytest.fixture
def compose():
    """The resolved configuration of a command line."""
    from paribus.config.compose import load, resolved

    return lambda *overrides: resolved(load(list(overrides)))


@pytest.fixture
def run_of(compose):
    """The run of a command line."""
    from paribus.config.run import Run

    return lambda *overrides: Run.parse(compose(*overrides))


@pytest.fixture
def wandb_server(monkeypatch, tmp_path):
    """A W&B server on a loopback port, where all clients of this test go; no client process outlives the test."""
    import wandb
    from wandb_server import WandbServer

    from paribus.extras.wandb import access as wandb_access

    wandb.teardown()  # settings are read once a process
    server = WandbServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    monkeypatch.setattr(wandb_access, "_silent", {})
    monkeypatch.chdir(tmp_path)
    yield server
    server.failure = None
    wandb.teardown()
    server.close()
    assert children("wandb-core") == []


def children(name, seconds=10.0):
    """Child processes of that name which are still there after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while found := [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_child(pid, name)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return found


def _is_child(pid, name):
    try:
        with open(f"/proc/{pid}/stat") as file:
            command, _, rest = file.read().partition("(")[2].rpartition(")")
    except OSError:
        return False
    state, parent = rest.split()[:2]
    return command == name and int(parent) == os.getpid() and state != "Z"

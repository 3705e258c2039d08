"""The examination of an installation and its machine: versions, devices, folders, forks, the configuration, extras."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from paribus.base.errors import UserError
from paribus.base.extras import installed, offered
from paribus.base.findings import Finding
from paribus.base.version import __version__
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.store.lock import exclusive
from paribus.store.provenance import provenance
from paribus.store.store import Store
from paribus.sweep.fork import shared_server
from paribus.sweep.server import Server

LIBRARIES = ("torch", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")
ROOM = 1e9  # bytes: less is soon filled by checkpoints


def examine() -> Iterator[Finding]:
    """One finding for each subject. Trains nothing, and leaves nothing behind."""
    yield versions()
    yield processors()
    yield accelerators()
    yield from configuration()
    yield forks()
    yield Finding("extras", ", ".join(installed()) or "none")
    for look in offered("examine"):
        yield from look()


def versions() -> Finding:
    source = provenance("", 1)
    commit = f", commit {source['commit'][:8]}{', changed' if source['dirty'] else ''}" if source["commit"] else ""
    found, missing = [f"paribus {__version__}{commit}", f"Python {source['versions']['python']}"], []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(library)
    wrong = f"{', '.join(missing)} is not installed. Install Paribus again: pip install paribus" if missing else ""
    return Finding("versions", ", ".join(found), wrong)


def processors() -> Finding:
    hardware = provenance("", 1)["hardware"]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = f"{usable} cores" if usable == hardware["cores"] else f"{usable} of {hardware['cores']} cores"
    wrong = ""
    if usable < (hardware["cores"] or 1):
        wrong = (
            f"sweeps start as many runs at once as there are cores. This process may use {usable}: "
            f"hydra.launcher.n_jobs={usable}"
        )
    return Finding("processor", f"{hardware['cpu']}, {cores}, {hardware['platform']}", wrong)


def accelerators() -> Finding:
    """What torch can train on beside the processor; a GPU that it can't use is a fault."""
    import torch

    if torch.cuda.is_available():
        names = Counter(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return Finding("accelerator", ", ".join(f"{count} x {name}" for name, count in names.items()))
    if torch.backends.mps.is_available():
        return Finding("accelerator", "Apple's (trainer=mps)")
    if shutil.which("nvidia-smi"):
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs only"
        return Finding("accelerator", "none that torch can use", f"there is an NVIDIA driver, but torch is {build}")
    return Finding("accelerator", "none")


def configuration() -> Iterator[Finding]:
    """The options of the current folder, and the folders that they name."""
    composer = Composer()
    try:
        run = composer(()).run
        root = outputs_folder((), composer)
    except UserError as error:
        yield Finding("configuration", f"of {Path.cwd()}", f"it can't be composed: {error}")
        return
    yield Finding("configuration", f"composes in {Path.cwd()}; `paribus train` would be run {run.id}")
    yield records(root)
    yield place("data", Path(run.paths.data))


def records(root: Path) -> Finding:
    """The folder of records: that it can be written and locked, its room, and what state its runs are in."""
    writable = place("records", root)
    if writable.wrong:
        return writable
    store, states, damaged = Store(root), Counter[str](), []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for record in store.scan():
            states[store.state(record)] += 1
        damaged = [str(each.message) for each in said]
    counted = ", ".join(f"{number} {state}" for state, number in states.most_common()) or "no runs"
    wrong = f"{len(damaged)} records can't be read, such as: {damaged[0]}" if damaged else ""
    return Finding("records", f"{writable.found}: {counted}", wrong)


def place(subject: str, folder: Path) -> Finding:
    """Whether files can be written and locked there; the folder itself is not made."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    room = shutil.disk_usage(there).free
    found = f"{folder}, {room / 1e9:,.0f} GB free"
    if not os.access(there, os.W_OK | os.X_OK):
        key = "paths.outputs" if subject == "records" else "paths.data"
        return Finding(subject, found, f"{there} can't be written. Name another folder: {key}=DIR")
    if there == folder and (reason := _without_locks(folder)):
        return Finding(subject, found, f"files can't be locked there ({reason}). Two sweeps could train a run twice")
    return Finding(subject, found, f"less than {ROOM / 1e9:.0f} GB is left: paribus gc" if room < ROOM else "")


def _without_locks(folder: Path) -> str:
    probe = folder / f".doctor-{uuid.uuid4().hex[:8]}"
    try:
        with exclusive(probe, "the probe of paribus doctor"):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    finally:
        probe.unlink(missing_ok=True)


def forks() -> Finding:
    """Whether processes can be forked for sweeps."""
    try:
        shared_server().call(_answer)
    except (OSError, RuntimeError, EOFError) as error:
        return Finding("sweeps", "no run can start", f"processes can't be forked: {type(error).__name__}: {error}")
    return Finding("sweeps", "runs can be forked")


def _answer(server: Server) -> bool:
    return True

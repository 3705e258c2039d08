"""Programs that torch's compiler has made ahead of time, each in a file that other processes map.

Compiling takes ten seconds and more; mapping a package takes milliseconds, without the imports of the compiler. So each
program is compiled once on a machine. A package is native code: it lies in a folder of the user's own and not among
the records, which people give to one another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from paribus.base.torch_internals import load_package, write_package
from paribus.store.provenance import provenance

Packaged = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def folder() -> Path:
    """Where packages are kept: $PARIBUS_CACHE, else paribus/packages in the user's folder for caches."""
    if own := os.environ.get("PARIBUS_CACHE"):
        return Path(own) / "packages"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paribus" / "packages"


def packaged(module: nn.Module, graph: fx.GraphModule, settings: object, inputs: Sequence[Tensor]) -> Packaged:
    """module(*inputs) as native code, from the disk where it was compiled before. What it writes into its inputs lies
    there afterwards; it returns new tensors.

    graph, settings: what the module calls, and all else that distinguishes what it does.

    Raises what torch raises where it can't compile, as without a C++ compiler.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = place / f"{_key(graph, settings, inputs)}.pt2"
    with (place / f"{path.stem}.lock").open("w") as lock:  # the kernel releases it when its process ends
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _compile(module, inputs, path)
        try:
            return load_package(path)
        except RuntimeError:  # cut off, or of a library that has changed: made anew, once
            _compile(module, inputs, path)
            return load_package(path)


def _compile(module: nn.Module, inputs: Sequence[Tensor], path: Path) -> None:
    made = path.with_name(f"{path.stem}.{os.getpid()}.pt2")
    try:
        with torch.no_grad():
            program = torch.export.export(module, tuple(inputs))
            write_package(program, made)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _key(graph: fx.GraphModule, settings: object, inputs: Sequence[Tensor]) -> str:
    """A digest of the program, of what it is compiled by, and of what runs it."""
    digest = hashlib.sha256()

    def add(value: object) -> None:
        digest.update(f"{value}\n".encode())

    add(graph.code)
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            constant = getattr(graph, str(node.target)).detach().cpu().contiguous()
            add((node.target, constant.dtype, tuple(constant.shape)))
            digest.update(constant.view(-1).view(torch.uint8).numpy().tobytes())
    add(settings)
    add([(tuple(each.shape), each.stride(), each.dtype, each.device.type) for each in inputs])
    hardware: Any = provenance("", 1)["hardware"]
    add((torch.__version__, platform.platform(), hardware["cpu"], torch.backends.cpu.get_cpu_capability()))
    add((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()))
    return digest.hexdigest()[:32]

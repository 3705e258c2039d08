"""Every private name of torch that Paribus uses, each with what is done where a version of torch has it no more.

torch promises nothing about these names, so they stand in one file. A name that is gone costs speed and never a result:
what takes its place is slower, and says so once.
"""

from __future__ import annotations

import functools
import importlib
import logging
import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Subset, TensorDataset, default_collate

log = logging.getLogger("paribus")


def find(path: str) -> Any:
    """The object `torch.path`, or None where this version of torch has it no more, which is said once."""
    try:
        module, _, name = f"torch.{path}".rpartition(".")
        return getattr(_resolve(module), name)
    except (AttributeError, ImportError):
        log.warning("torch %s has no torch.%s: a slower way is taken", torch.__version__, path)
        return None


def _resolve(path: str) -> Any:
    """A module, or an attribute of one."""
    try:
        return importlib.import_module(path)
    except ImportError:
        parent, _, name = path.rpartition(".")
        if not parent:
            raise
        return getattr(_resolve(parent), name)


# ------------------------------------------------------------------------------------------ autograd

_run_backward = find("autograd.Variable._execution_engine.run_backward")


def _by_the_engine(loss: Tensor) -> None:
    _run_backward((loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True)


# The backward pass of a scalar loss, bit for bit that of loss.backward(), which first looks for subclasses of tensors,
# for shapes and for somebody who wants a log of the graph: in a small network a tenth of an update.
backward: Callable[[Tensor], None] = _by_the_engine if _run_backward is not None else lambda loss: loss.backward()

# A context in which operations go to the kernels without counting versions or keeping track of views.
below_autograd: Callable[[], AbstractContextManager[Any]] = find("_C._AutoDispatchBelowAutograd") or torch.no_grad

# ------------------------------------------------------------------------------------------ optimizers

# Kernels that update lists of parameters in one call; None where there is none, and the optimizer takes its own step.
fused_sgd = find("_fused_sgd_")
fused_adam = find("_fused_adam_")
fused_adamw = find("_fused_adamw_")


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Whether an optimizer has hooks around its step; True where that can't be known."""
    names = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    return any(bool(getattr(optimizer, name, True)) for name in names)


def foreach(name: str) -> Callable[..., Any]:
    """torch._foreach_NAME(tensors, *arguments): an operation on lists of tensors. Arguments that are lists are taken
    item by item, all others apply to every tensor."""
    return find(f"_foreach_{name}") or _one_by_one(name)


def _one_by_one(name: str) -> Callable[..., list[Tensor]]:
    operation = torch.linalg.vector_norm if name == "norm" else getattr(Tensor, name)

    def each(tensors: Sequence[Tensor], *arguments: Any, **options: Any) -> list[Tensor]:
        results = []
        for number, tensor in enumerate(tensors):
            own = [item[number] if isinstance(item, list | tuple) else item for item in arguments]
            if name.startswith("addc") and len(own) > 2:  # the last one, a number, has a name in Tensor's own method
                results.append(operation(tensor, *own[:2], value=own[2], **options))
            else:
                results.append(operation(tensor, *own, **options))
        return results

    return each


# ------------------------------------------------------------------------------------------ random numbers

_standard_gamma = find("_standard_gamma")


def standard_gamma(shape: Tensor, generator: torch.Generator) -> Tensor:
    """Samples of Gamma(shape, 1), of the shape and type of `shape`, drawn from `generator`."""
    if _standard_gamma is not None:
        samples: Tensor = _standard_gamma(shape, generator=generator)
        return samples
    return _gamma_of_the_global_stream(shape, generator)


def _gamma_of_the_global_stream(shape: Tensor, generator: torch.Generator) -> Tensor:
    """torch.distributions takes no generator: the global one plays its part for this call, so the numbers are equal."""
    devices = [shape.device] if shape.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        if devices:
            torch.cuda.set_rng_state(generator.get_state(), shape.device)
        else:
            torch.set_rng_state(generator.get_state())
        samples: Tensor = torch.distributions.Gamma(shape, torch.ones_like(shape)).sample()
        state = torch.cuda.get_rng_state(shape.device) if devices else torch.get_rng_state()
    generator.set_state(state)
    return samples


# ------------------------------------------------------------------------------------------ modules


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks on its forward or backward pass; True where that can't be known."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(bool(getattr(module, name, True)) for name in names)


def has_gradient_hooks(parameter: Tensor) -> bool:
    """Whether a parameter has hooks that see or change its gradient; True where that can't be known."""
    names = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(bool(getattr(parameter, name, True)) for name in names)


# What torch.nn.utils.parametrizations.spectral_norm registers: it iterates while it is in training mode.
_spectral_norm = find("nn.utils.parametrizations._SpectralNorm")
SPECTRAL_NORMS: tuple[type, ...] = () if _spectral_norm is None else (_spectral_norm,)

# Every norm that can keep running statistics, also one of a user's of the same base.
_norm_base = find("nn.modules.batchnorm._NormBase")
_NORMS: tuple[type[nn.Module], ...] = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
RUNNING_NORMS: tuple[type[nn.Module], ...] = _NORMS if _norm_base is None else (_norm_base,)


def version(tensor: Tensor) -> int:
    """How often a tensor has been changed in place, where torch says so."""
    return int(getattr(tensor, "_version", 0))


# Where those of torch.nn.functional that are written in C say that they are at home.
FUNCTIONS_IN_C: str = torch.nn.functional.gelu.__module__

# ------------------------------------------------------------------------------------------ operations


_Mode = TypeVar("_Mode", bound="_Blind")


class _Blind:
    """In place of the mode below: whoever traces goes on without a trace."""

    def __enter__(self: _Mode) -> _Mode:
        raise RuntimeError(f"torch {torch.__version__} does not show its operations on their way to the kernels")

    def __exit__(self, *error: object) -> None: ...


# A context in which `__torch_dispatch__(operation, types, args, kwargs)` stands for every operation.
if TYPE_CHECKING:
    DispatchMode = _Blind
else:
    DispatchMode = find("utils._python_dispatch.TorchDispatchMode") or _Blind
SHOWS_OPERATIONS = DispatchMode is not _Blind
# The class of an operation with fixed types of arguments, such as torch.ops.aten.add.Tensor.
OpOverload: type = type(torch.ops.aten.add.Tensor)


def schema(operation: Any) -> Any:
    """The names, types and aliases of an operation's arguments and results.

    Raises RuntimeError where torch does not say: whoever traces goes on without a trace.
    """
    found = getattr(operation, "_schema", None)
    if found is None:
        raise RuntimeError(f"torch {torch.__version__} does not tell the arguments and results of {operation}")
    return found


@functools.cache
def has_amx() -> bool:
    """Whether the CPU multiplies tiles of bfloat16 (AMX); True where that can't be known."""
    asked = find("cpu._is_amx_tile_supported")
    return True if asked is None else bool(asked())


# ------------------------------------------------------------------------------------------ processes


def compile_report() -> Any:
    """What torch registers to be called at the end of a process that has compiled something; None if it does not."""
    try:
        return getattr(importlib.import_module("torch._dynamo.utils"), "dump_compile_times", None)
    except ImportError:
        return None


# ------------------------------------------------------------------------------------------ compiled ahead of time


def write_package(program: Any, path: Path) -> None:
    """Compile an exported program into a file. Raises whatever the compiler raises, and RuntimeError without one."""
    compile_it = find("_inductor.aoti_compile_and_package")  # here, since it imports all of the compiler
    if compile_it is None:
        raise RuntimeError(f"torch {torch.__version__} compiles no packages")
    compile_it(program, package_path=str(path))


def load_package(path: Path) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
    """A package's function: tensors -> tensors. Raises RuntimeError for a file that is none."""
    loader = find("_C._aoti.AOTIModelPackageLoader")
    try:
        run: Callable[[Sequence[Tensor]], Sequence[Tensor]] = loader(str(path), "model", False, 1, -1).run
        return run
    except TypeError:  # none, or with other arguments: by way of the compiler, whose imports take seconds
        model = importlib.import_module("torch._inductor").aoti_load_package(str(path))
        return lambda inputs: model(*inputs)


# ------------------------------------------------------------------------------------------ data loaders


def forget_workers(loader: Any) -> None:
    """End the workers that a DataLoader with persistent_workers=True keeps: its next iterator starts new ones.

    Their random numbers go on from epoch to epoch, and nobody can ask them for their state. Where torch keeps them
    elsewhere, a run with such a loader that goes on after a kill has other random numbers.
    """
    kept = getattr(loader, "_iterator", None)
    if kept is not None:
        loader._iterator = None
        if hasattr(kept, "_shutdown_workers"):
            kept._shutdown_workers()


def gathered(iterator: Any) -> Any:
    """The iterator of a DataLoader, which gathers batches of tensors by their indices where this gives the same bits.

    A TensorDataset, or a part of one, is otherwise read sample by sample and put together again: ten times the work.
    Everything else is left as it is: workers, other data, other ways to collate, and where torch keeps this elsewhere.
    """
    fetcher = getattr(iterator, "_dataset_fetcher", None)
    if type(fetcher).__name__ == "_MapDatasetFetcher" and getattr(fetcher, "auto_collation", False):
        tensors = _tensors_of(getattr(fetcher, "dataset", None))
        if tensors is not None and getattr(fetcher, "collate_fn", None) is default_collate:
            iterator._dataset_fetcher = _Gather(fetcher, tensors)
    return iterator


def _tensors_of(dataset: Any) -> tuple[Tensor, ...] | None:
    while type(dataset) is Subset:
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    plain = (
        type(each) is Tensor
        and each.layout is torch.strided
        and each.device.type == "cpu"
        and each.is_contiguous()
        and not each.requires_grad
        for each in dataset.tensors
    )
    return dataset.tensors if all(plain) else None


class _Gather:
    """Reads the samples of a batch at once. fetcher: torch's own, which takes what is no list of whole numbers."""

    def __init__(self, fetcher: Any, tensors: tuple[Tensor, ...]):
        self._fetcher, self._tensors = fetcher, tensors

    def fetch(self, indices: Any) -> Any:
        chosen, dataset = indices, self._fetcher.dataset
        if type(chosen) is not list or not chosen:
            return self._fetcher.fetch(indices)
        while type(dataset) is Subset:
            chosen, dataset = [operator.index(dataset.indices[index]) for index in chosen], dataset.dataset
        rows = len(self._tensors[0])
        if not all(type(index) is int and 0 <= index < rows for index in chosen):
            return self._fetcher.fetch(indices)
        numbers = torch.tensor(chosen)
        return [tensor.index_select(0, numbers) for tensor in self._tensors]


# ------------------------------------------------------------------------------------------ sharding


def shards_on_cpu() -> bool:
    """Whether this version can shard networks (FSDP2) on a CPU: it waits for streams, and torch 2.6 has none there."""
    return hasattr(torch.cpu.Stream, "record_event")

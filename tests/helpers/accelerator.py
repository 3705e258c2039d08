"""An accelerator that is not there: a device of torch's whose tensors lie in the memory of the CPU and say otherwise.

Whole runs train on it, with real numbers. As on a GPU, an operation on tensors of two devices is an error (numbers of
the CPU excepted), and what makes the program wait for the device is written down with the line that does so:

    with Accelerator() as device:
        ...                       # tensors to device.device
    device.waits                  # {("update", "a number is read", "run/loop.py:12 float(loss)"): how often}
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

import paribus

NAME = "pretended"
SOURCE = Path(paribus.__file__).parent
# The result has a size, or is a number, that the program has to know before it can go on.
_READS = {
    **dict.fromkeys(("_local_scalar_dense", "equal", "is_nonzero", "item"), "a number is read"),
    **dict.fromkeys(("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"), "a size is read"),
    "repeat_interleave": "a size is read",
    "bincount": "a size is read",
}
_COPIES = ("_to_copy", "copy_", "lift_fresh", "lift_fresh_copy")
_INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")
_set_up = False


class OnDevice(torch.Tensor):
    """A tensor of the pretended device. inner: its values, a tensor of the CPU."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device(NAME, 0), requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    def __reduce_ex__(self, protocol):
        return self.inner.__reduce_ex__(protocol)  # a file holds the values

    def tolist(self):
        note("numbers are read")
        return self.inner.tolist()

    def data_ptr(self):
        return self.inner.data_ptr()

    def numpy(self, **_):
        raise TypeError(f"a tensor of {NAME} has no NumPy array; .cpu() copies it")

    def __repr__(self, *, tensor_contents=None):
        return f"OnDevice({self.inner!r})"


def run(func, args, kwargs):
    """Do what is asked for on the CPU, after a look at what a device would say."""
    flat = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    given = kwargs.get("device")
    wanted = None if given is None else torch.device(given).type
    inside = [isinstance(each, OnDevice) for each in flat]
    name = func._schema.name.removeprefix("aten::")
    watch(name, args, flat, wanted, kwargs)
    if wanted == NAME:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    kwargs = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    args_in, kwargs_in = tree_map_only(OnDevice, lambda each: each.inner, (args, kwargs))
    out = func(*args_in, **kwargs_in)
    if name == "copy_":
        return args[0]
    on_device = wanted == NAME or (wanted is None and any(inside))
    if not on_device:
        return out
    if name.endswith("_") and isinstance(args[0], OnDevice) and not name.startswith("_foreach"):
        return args[0]
    out = tree_map_only(torch.Tensor, lambda each: each if isinstance(each, OnDevice) else OnDevice(each), out)
    return return_and_correct_aliasing(func, args, kwargs, out) if any(inside) else out


def watch(name, args, flat, wanted, kwargs):
    inside = [isinstance(each, OnDevice) for each in flat]
    if name in _READS and any(inside):
        note(_READS[name])
    if name in _COPIES:
        to = wanted or ("cpu" if not flat or not inside[0] else NAME)
        source = NAME if inside and inside[-1 if name == "copy_" else 0] else "cpu"
        if to != source and NAME in (to, source) and not (to == NAME and non_blocking(name, args, kwargs)):
            note(f"values go from {source} to {to}")
        return
    if name in _INDEXED and inside[0]:
        indices = [each for each in args[1] if each is not None]
        if any(each.dtype in (torch.bool, torch.uint8) for each in indices):
            note("a size is read")
        if any(not isinstance(each, OnDevice) for each in indices):
            note(f"values go from cpu to {NAME}")
        flat = [args[0], *args[2:3]]
        inside = [isinstance(each, OnDevice) for each in flat if isinstance(each, torch.Tensor)]
    if any(inside) and (strange := [each for each, own in zip(flat, inside, strict=True) if not own and each.dim()]):
        shapes = ", ".join(str(tuple(each.shape)) for each in strange)
        raise RuntimeError(f"{name}: tensors of {NAME} and, of shape {shapes}, of the CPU")


def non_blocking(name, args, kwargs):
    return bool(kwargs.get("non_blocking", name == "copy_" and len(args) > 2 and args[2]))


_noted: list[Counter] = []
doing = ""  # by the program, for what is noted meanwhile


def note(what):
    for waits in _noted:
        frames = [each for each in traceback.extract_stack() if each.filename.startswith(f"{SOURCE}{os.sep}")]
        last = frames[-1] if frames else None
        where = f"{Path(last.filename).relative_to(SOURCE)}:{last.lineno} {last.line}" if last else ""
        waits[doing, what, where] += 1


class Accelerator(TorchDispatchMode):
    """Within it there is the device. waits: what has made the program wait, and where in Paribus."""

    def __init__(self):
        super().__init__()
        global _set_up
        if not _set_up:
            from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

            _setup_privateuseone_for_python_backend(NAME)
            _set_up = True
        self.device = torch.device(NAME, 0)
        self.waits: Counter = Counter()

    def __enter__(self):
        _noted.append(self.waits)
        self._kept = torch.tensor, torch.Tensor.new_tensor, torch.Generator
        # They make their tensors below all that can be written in Python.
        torch.tensor, torch.Tensor.new_tensor, torch.Generator = tensor, new_tensor, Generator
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        torch.tensor, torch.Tensor.new_tensor, torch.Generator = self._kept
        _noted.remove(self.waits)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


_tensor, _new_tensor, _generator = torch.tensor, torch.Tensor.new_tensor, torch.Generator


def tensor(data, *, device=None, requires_grad=False, **rest):
    if device is None or torch.device(device).type != NAME:
        return _tensor(data, device=device, requires_grad=requires_grad, **rest)
    note(f"values go from cpu to {NAME}")
    return OnDevice(_tensor(data, **rest)).requires_grad_(requires_grad)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    if not isinstance(self, OnDevice):
        return _new_tensor(self, data, dtype=dtype, device=device, requires_grad=requires_grad)
    return tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


class Generator(_generator):
    """Of the pretended device too, whose random numbers are drawn on the CPU."""

    def __new__(cls, device="cpu"):
        return _generator("cpu" if torch.device(device).type == NAME else device)

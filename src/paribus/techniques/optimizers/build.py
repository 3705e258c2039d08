"""Parameter groups: what decays, what is a matrix; and the weights that an optimizer evaluates with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from paribus.base.text import near
from paribus.techniques.optimizers.decay import no_decay_parameters
from paribus.techniques.optimizers.low_precision import fault, low_type, refusal

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_FUSED_DEVICES = (
    "cpu",
    "cuda",
    "mps",
    "xpu",
)  # torch.optim's fused kernels have no form elsewhere, meta included


def build_optimizer(
    make: Callable[..., Optimizer],
    network: nn.Module,
    *,
    decay: Literal["weights", "all"] = "weights",
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    rates: Mapping[str, float] | None = None,
) -> Optimizer:
    """make(parameter groups) with weight decay kept off biases, norms and directions (decay="weights").

    make: a partial of an optimizer's class, e.g. functools.partial(torch.optim.SGD, lr=0.1).
    groups: patterns of parameter names, such as "backbone.*", and options for the parameters that they fit; the first
        pattern that fits counts. What an option says there, weight_decay too, is meant.
    rates: factors on the learning rates of parameters, by name.

    Frozen parameters are left out. Groups come in the order in which the network's parameters need them. Muon
    and its family (known by adamw_lr) get hidden matrices and kernels apart from the rest. A schedule-free
    optimizer comes ready to train.

    Raises ValueError where the optimizer refuses a value, and for a pattern that fits nothing.
    """
    target = getattr(make, "func", make)
    options: dict[str, Any] = dict(getattr(make, "keywords", {}))
    own = _own_groups(make, network, groups or {})
    if rates:
        own = _at_rates(own, rates, options.get("lr", inspect.signature(target).parameters["lr"].default))
    named = [p for p in network.parameters() if p.requires_grad]
    if not named:
        raise ValueError("an optimizer needs trainable parameters, and the network has none. Use another model")
    changed = _checked(target.__name__, options)
    if options.get("fused") and (
        options.get("foreach")
        or options.get("differentiable")
        or any(p.device.type not in _FUSED_DEVICES or isinstance(p, DTensor) for p in named)
    ):
        changed["fused"] = False
    if (dtype := low_type(network)) is not None:
        changed |= _tried(make, target.__name__, options, changed, decay, dtype, named[0].device)
    return _made(make, network, decay, changed, own)


Own = Mapping[str, tuple[int, Mapping[str, Any]]]  # name of a parameter -> the number of its group, and its options


def _own_groups(make: Callable[..., Optimizer], network: nn.Module, groups: Mapping[str, Mapping[str, Any]]) -> Own:
    if not groups:
        return {}
    target = getattr(make, "func", make)
    known = [name for name in inspect.signature(target).parameters if name not in ("params", "self")]
    names = [name for name, _ in network.named_parameters()]
    found: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for number, (pattern, options) in enumerate(groups.items()):
        if strange := [key for key in options if key not in known]:
            raise ValueError(
                f"groups of {pattern}: {target.__name__} takes no {strange[0]}.{near(strange[0], known)} It takes "
                f"{', '.join(known)}"
            )
        for name in matching(pattern, names):
            found.setdefault(name, (number, {**options, **_checked(target.__name__, options)}))
    return found


def _at_rates(own: Own, rates: Mapping[str, float], lr: float) -> Own:
    """Groups in which parameters have a factor on their learning rate: of `lr`, or of the rate of their own group."""
    numbers: dict[tuple[int, float], int] = {}
    found = {}
    for name, factor in rates.items():
        number, options = own.get(name, (-1, {}))
        at = numbers.setdefault((number, factor), len(numbers))
        found[name] = (at, {**options, "lr": factor * options.get("lr", lr)})
    return found


def matching(pattern: str, names: list[str]) -> list[str]:
    """The names that a pattern fits. Raises ValueError where there is none."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} others" if len(names) > 6 else "")
        raise ValueError(f"{pattern} fits no parameter of the network.{near(pattern, names)} They are {shown}")
    return found


def _made(
    make: Callable[..., Optimizer],
    network: nn.Module,
    decay: str,
    changed: Mapping[str, Any],
    own: Own | None = None,
) -> Optimizer:
    """make(parameter groups) with some options changed, ready to train."""
    target = getattr(make, "func", make)
    kept_off = no_decay_parameters(network) if decay == "weights" else set()
    splits = "adamw_lr" in inspect.signature(target).parameters
    matrices = hidden_matrices(network) if splits else set()
    groups: dict[tuple[bool, bool, int], list[torch.Tensor]] = {}
    options: dict[int, Mapping[str, Any]] = {-1: {}}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            number, options[number] = (own or {}).get(name, (-1, {}))
            groups.setdefault((name in matrices, name in kept_off, number), []).append(parameter)
    listed: list[dict[str, Any]] = []
    for (is_matrix, undecayed, number), parameters in groups.items():
        group: dict[str, Any] = {"params": parameters}
        if splits:
            group["use_muon"] = is_matrix
        if undecayed:
            group["weight_decay"] = 0.0
        listed.append(group | dict(options[number]))
    try:
        optimizer = make(listed, **changed)
    except Exception as error:  # every library has its own kinds for a value out of range
        shown = ", ".join(f"{key}={value}" for key, value in getattr(make, "keywords", {}).items())
        raise ValueError(f"{target.__name__} refuses its options: {error}. Change that one of {shown}") from error
    if hasattr(optimizer, "train"):
        optimizer.train()
    return optimizer


def _tried(
    make: Callable[..., Optimizer],
    name: str,
    options: Mapping[str, Any],
    changed: Mapping[str, Any],
    decay: str,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """Options without which weights of two bytes would not be trained: fused=False where the kernel is at fault.

    Raises ValueError where the optimizer does not train such weights at all.
    """

    def found(own: Mapping[str, Any]) -> str | None:
        key = f"{getattr(make, 'func', make)} {sorted({**options, **own}.items())} {decay}"
        return fault(lambda network: _made(make, network, decay, own), key, dtype, device)

    if (reason := found(changed)) is None:
        return {}
    if options.get("fused") and changed.get("fused") is not False and found({**changed, "fused": False}) is None:
        return {"fused": False}
    raise ValueError(refusal(name, options, reason, dtype))


def hidden_matrices(network: nn.Module) -> set[str]:
    """Names of what Muon is for: parameters of two and more dimensions that carry activations to activations.

    Not the output layer (the linear or convolutional one registered last), embeddings, what a module lists as
    `no_decay` (tokens, positions), nor weight norm's lengths. The input layer is in: pixels are dense, unlike
    words. Weight norm's directions stand for their matrices.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon.
    """
    layers = [module for module in network.modules() if isinstance(module, _LAYERS)]
    others = [*layers[-1:], *(module for module in network.modules() if isinstance(module, nn.Embedding))]
    left_out = {p for module in others for p in module.parameters()}
    kept_off = no_decay_parameters(network)
    return {
        name
        for name, p in network.named_parameters()
        if p.ndim >= 2 and p not in left_out and (name not in kept_off or name.endswith(".original1"))
    }


def _checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the libraries want them, where a YAML file can't say it: tuples, and floats in betas."""
    changed: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, str) and _is_number(value):
            raise ValueError(f"{key} of {name} must be a number, got the text {value!r}. Write {float(value)!r}")
        if key in ("lr", "weight_decay", "momentum") and not _is_real(value):
            raise ValueError(f"{key} of {name} must be a number, got {value!r}. Write {key}: 0.01, say")
        if isinstance(value, list | tuple):
            if "betas" in key and not all(_is_real(item) for item in value):
                raise ValueError(f"{key} of {name} must be numbers, got {value!r}. Write {key}: [0.9, 0.999], say")
            changed[key] = tuple(float(item) for item in value) if "betas" in key else tuple(value)
    return changed


def _is_real(value: object) -> bool:
    return isinstance(value, int | float | torch.Tensor) and not isinstance(value, bool)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def evaluation_weights(optimizer: Optimizer) -> Iterator[None]:
    """The weights that a schedule-free optimizer evaluates with; others train and evaluate with the same.

    Its own eval() and train() undo each other up to rounding. The training weights are copied back instead:
    looking at a run does not change it.

    Source: Defazio et al. 2024, arXiv:2405.15682.
    """
    training = any(group.get("train_mode", False) for group in optimizer.param_groups)
    if not training:  # of no such kind, or within another such context
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    own = [p.detach().clone() for p in parameters]
    optimizer.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]
        with torch.no_grad():
            for p, value in zip(parameters, own, strict=True):
                p.copy_(value)

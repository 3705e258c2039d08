"""The arguments of the classes that a configuration names: what can be told without importing them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paribus.base.errors import UserError
from paribus.base.typed import typed

_IMPORTABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
# Whose arguments mean what their names say. Other people's classes look after their own.
_LIBRARIES = ("paribus.", "torch.", "pytorch_optimizer.", "schedulefree.")
_LARGE = 1e30
_MOST = 2**63 - 1
_RATE, _UNIT, _COUNT = (0, _LARGE), (0, 1), (1, _MOST)
# Section and argument -> least and most: what the libraries leave to the user, or say when training has begun. No bound
# is tighter than what somebody has published.
_BOUNDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "optimizer": {
        **dict.fromkeys(("lr", "adamw_lr", "weight_decay", "adamw_wd", "lr_decay", "initial_accumulator_value"), _RATE),
        **dict.fromkeys(("trust_coefficient", "r", "weight_lr_power"), _RATE),
        **dict.fromkeys(("eps", "adamw_eps", "matrix_eps", "momentum", "dampening", "betas", "adamw_betas"), _UNIT),
        **dict.fromkeys(("alpha", "rho", "shampoo_beta", "momentum_decay"), _UNIT),
        **dict.fromkeys(("start_preconditioning_step", "preconditioning_compute_steps", "block_size"), _COUNT),
        **dict.fromkeys(("precondition_frequency", "max_precondition_dim"), _COUNT),
        "ns_steps": (1, 100),
        "warmup_steps": (0, _MOST),
        "graft_type": (0, 3),
        "beta2_decay": (-_LARGE, 0),
        "d": (1, _LARGE),
        "d0": (1e-30, _LARGE),
        "d_coef": (1e-30, _LARGE),
        "growth_rate": (1, math.inf),  # infinite where it is off
    },
    "norm": {
        **dict.fromkeys(("eps", "momentum", "start", "r_full", "d_full"), _UNIT),
        "r_max": (1, _LARGE),
        "d_max": (0, _LARGE),
        "groups": _COUNT,
        "n_power_iterations": (1, 1000),
    },
    "model": {
        **dict.fromkeys(("width", "widths", "depth", "heads", "patch", "blocks", "convolutions"), (1, 1e6)),
        "dropout": _UNIT,
    },
    "scheduler": {
        **dict.fromkeys(("low_momentum", "high_momentum", "threshold", "minimum"), _UNIT),
        **dict.fromkeys(("div", "final_div"), (1, _LARGE)),
    },
    "augmentation": {"padding": (0, 10_000), "alpha": (0, 1e6)},
    "callbacks": {"samples": _COUNT, "every_seconds": _RATE, "tolerance": _UNIT, "patience": _COUNT},
}
_PAIRS = {"betas", "adamw_betas"}
# Those that may be lists; all others with bounds are one number, or null where their class says so.
_LISTS = {*_PAIRS, "eps", "widths", "blocks"}


def check_node(where: str, node: Any) -> None:
    """Raises UserError for a node without an importable target, and for a number that no such argument can be."""
    if not isinstance(node, Mapping):
        name = where.rpartition(".")[2]
        option = (
            f" If Paribus has a callback of that name, write callbacks=[default,{name}]"
            if "callbacks." in where
            else ""
        )
        raise UserError(f"{where} must name its class ({where}._target_), got {node!r}.{option}")
    target = node.get("_target_")
    if not isinstance(target, str) or not _IMPORTABLE.fullmatch(target):
        raise UserError(
            f"{where}._target_ must be the import path of a class or function, got {target!r}. "
            f"Choose an option of the group, or give {typed(f'{where}._target_', 'package.Class')}"
        )
    bounds = _BOUNDS.get(where.split(".", 1)[0], {}) if target.startswith(_LIBRARIES) else {}
    for name, value in node.items():
        if name in bounds and not _shaped(name, value):
            wanted = "a list of two numbers" if name in _PAIRS else "a number"
            raise UserError(f"{where}.{name} must be {wanted}, got {value!r}. Write it in this form")
    for key, name, number in _numbers(where, "", node):
        least, most = bounds.get(name, (-math.inf, math.inf))
        if math.isnan(number) or (name in bounds and math.isinf(number) and number != most):
            raise UserError(f"{key} must be a finite number, got {number}. Give a number")
        if isinstance(number, int) and abs(number) > _MOST:
            raise UserError(f"{key} must be below 2^63, like every whole number, got {number:.3g}. Give a smaller one")
        if not least <= number <= most:
            wanted = f"of at least {least:g}" if most >= _MOST else f"from {least:g} to {most:g}"
            raise UserError(f"{key} must be a number {wanted}, got {number!r}. Choose one in that range")


def _shaped(name: str, value: Any) -> bool:
    """Whether a bounded argument has the form of a number, or of a list of them where it may be one."""
    if isinstance(value, list):
        return name in _LISTS and (name not in _PAIRS or len(value) == 2)
    return not isinstance(value, Mapping)  # a word is compared with the type of the argument


def finite(key: str, value: Any, default: Any) -> None:
    """Raises UserError for an infinite argument, unless it is infinite by default."""
    unbounded = isinstance(default, float) and math.isinf(default)
    for name, _, number in _numbers(key, "", value):
        if not math.isfinite(number) and not unbounded:
            raise UserError(f"{name} must be a finite number, got {number}. Give a number")


def _numbers(where: str, name: str, value: Any) -> Iterator[tuple[str, str, float]]:
    """(dotted key, name of the argument, number) of every number in a node; a list counts as its argument."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{where}.{key}", str(key), item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(f"{where}[{index}]", name, item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield where, name, value if isinstance(value, float) or abs(value) < 10**300 else math.inf

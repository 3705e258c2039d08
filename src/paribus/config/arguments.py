"""The arguments of the classes that a configuration names: what can be told without importing them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paribus.errors import UserError

_IMPORTABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
# Whose arguments mean what their names say. Other people's classes look after their own.
_LIBRARIES = ("paribus.", "torch.", "pytorch_optimizer.", "schedulefree.")
# Section and argument -> least and most: bounds that the libraries leave to the user, and a few of ours.
# No bound is tighter than what somebody has published.
_BOUNDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "optimizer": {
        "lr": (0, 1e30),
        "adamw_lr": (0, 1e30),
        "weight_decay": (0, 1e30),
        "adamw_wd": (0, 1e30),
        "eps": (0, 1),
        "adamw_eps": (0, 1),
        "matrix_eps": (0, 1),
        "momentum": (0, 1),
        "dampening": (0, 1),
        "betas": (0, 1),
        "adamw_betas": (0, 1),
        "alpha": (0, 1),
        "rho": (0, 1),
        "shampoo_beta": (0, 1),
        "momentum_decay": (0, 1),
        "lr_decay": (0, 1e30),
        "initial_accumulator_value": (0, 1e30),
        "trust_coefficient": (0, 1e30),
        "ns_steps": (1, 100),
    },
    "norm": {"eps": (0, 1), "momentum": (0, 1), "n_power_iterations": (1, 1000)},
    "model": {"dropout": (0, 1)},
}
_UNBOUNDED = {"growth_rate"}  # of Prodigy: infinite where it is off


def check_node(where: str, node: Any) -> None:
    """Raises UserError for a node without an importable target, and for a number that no such argument can be."""
    if not isinstance(node, Mapping):
        name = where.rpartition(".")[2]
        option = f" If Paribus has one of that name write callbacks=[default,{name}]" if "callbacks." in where else ""
        raise UserError(f"{where} must name its class ({where}._target_), got {node!r}.{option}")
    target = node.get("_target_")
    if not isinstance(target, str) or not _IMPORTABLE.fullmatch(target):
        raise UserError(
            f"{where}._target_ must be the import path of a class or function, got {target!r}. "
            f"Choose an option of the group, or give {where}._target_=package.Class"
        )
    bounds = _BOUNDS.get(where.split(".", 1)[0], {}) if target.startswith(_LIBRARIES) else {}
    for key, name, number in _numbers(where, "", node):
        if math.isnan(number) or (math.isinf(number) and name in bounds):
            raise UserError(f"{key} must be a finite number, got {number}. Give a number")
        if name in bounds and not bounds[name][0] <= number <= bounds[name][1]:
            least, most = bounds[name]
            wanted = f"from {least:g} to {most:g}" if most < 1e30 else f"of at least {least:g} (and at most 1e30)"
            raise UserError(f"{key} must be a number {wanted}, got {number!r}. Choose one in that range")


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

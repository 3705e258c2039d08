"""The curves to draw: of the loss, of what is measured in training beside it, and of what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from paribus.base.metrics import Metrics, kind


def curve_names(known: Metrics, logged: Collection[str], asked: Iterable[str] = ()) -> list[str]:
    """The names of declared metrics to draw, such as loss and acc.

    These are the metrics that training logs (where it logs only one, the next declared one stands beside it), and those
    of the keys `asked`.
    """
    trained = sorted([name for name in known if f"train/{name}" in logged], key=lambda name: name != "loss")
    if len(trained) < 2:
        trained += [name for name in known if f"val/{name}" in logged and name not in trained][: 2 - len(trained)]
    return list(dict.fromkeys([*trained, *(kind(key) for key in asked if f"val/{kind(key)}" in logged)]))


def curve_keys(known: Metrics, logged: Collection[str], asked: Iterable[str] = ()) -> list[str]:
    """The columns of histories for a figure of a few panels: the loss on both sets, everything else on validation."""
    names = curve_names(known, logged, asked)
    wanted = [key for k, name in enumerate(names) for key in ([f"train/{name}"] if k == 0 else []) + [f"val/{name}"]]
    return [key for key in wanted if key in logged]

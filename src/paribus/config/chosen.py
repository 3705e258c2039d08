"""The choices that make a run, flat: what tables vary, and what runs of like cost have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from paribus.base.plain_yaml import LOADER
from paribus.config.nodes import class_of
from paribus.config.run import Run

# Groups that name no part of a training, and so do those below hydra/.
_NO_TRAINING = {
    *(
        "own",
        "hydra",
        "paths",
        "logger",
        "metrics",
        "callbacks",
        "ablation",
        "experiment",
        "hparams_search",
        "local",
        "debug",
    )
}


def chosen(run: Run, choices: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Options of the groups that make a training, and the values given on the command line: what tables vary."""
    groups = {
        group: "+".join(option) if isinstance(option, list | tuple) else option
        for group, option in choices.items()
        if group not in _NO_TRAINING and not group.startswith("hydra/") and option is not None
    }
    if groups.get("task") == "classification":  # records of before do not name it
        del groups["task"]
    # Hydra names no list of options.
    groups["norm"] = "+".join(class_of(node).removesuffix("_norm") for node in run.norm.nodes) or "none"
    values: dict[str, Any] = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if (
            key not in choices
            and key not in ("group", "arm", "tags", "seed", "norm", "callbacks", "metrics")
            and not key.startswith(("~", "logger.", "paths.", "hydra.", "metrics."))
        ):
            values[key] = _value(value)
    if (size := values.pop("data.batch_size", None)) is not None:
        groups["batch_size"] = size
    return {**groups, **values}


def _value(text: str) -> Any:
    """A value as YAML has it; the text itself where Hydra's grammar takes what YAML does not, as in {*.bias: 1}."""
    try:
        return yaml.load(text, LOADER) if text else None
    except yaml.YAMLError:
        return text

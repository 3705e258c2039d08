"""Checks of the plain values of a config: those that no constructor sees, or sees too late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paribus.errors import UserError
from paribus.plan.identity import budget, world_size

# The sections that it looks at.
SECTIONS = ("budget", "clip", "data", "decay", "evaluation", "lr_scaling", "repetition", "seeds", "tags", "trainer")
_PARTS = {  # sections that hold values by name -> what people may have meant
    "budget": "budget.epochs=20",
    "clip": "clip.norm=1.0",
    "evaluation": "evaluation.every=1",
    "lr_scaling": "lr_scaling.rule=linear",
    "seeds": "seed=1, or seeds.init=1",
}
_CHOICES = {
    "decay": ("weights", "all"),
    "evaluation.checkpoint": ("last", "best"),
    "evaluation.mode": ("max", "min"),
    "evaluation.statistics": ("moving", "recomputed", "batch"),
    "evaluation.monitor": ("val/acc", "val/loss", "val/ece"),
    "lr_scaling.rule": ("none", "linear", "sqrt"),
    "trainer.accelerator": ("cpu", "gpu", "cuda", "mps"),
    "trainer.strategy": ("auto", "ddp", "fsdp"),
    "trainer.precision": ("64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"),
}
_WHOLE = {  # least value
    "seeds.init": 0,
    "seeds.order": 0,
    "seeds.augmentation": 0,
    "evaluation.every": 1,
    "evaluation.batch_size": 1,
    "lr_scaling.base_batch_size": 1,
    "trainer.accumulate": 1,
    "data.workers": 0,
    "data.split_seed": 0,
    "data.noise_seed": 0,
}
_POSITIVE_OR_NULL = ("clip.norm", "clip.value")
_SWITCHES = (
    "trainer.compile",
    "trainer.channels_last",
    "trainer.deterministic",
    "data.drop_last",
    "data.standardize",
)


def validate(config: Mapping[str, Any]) -> None:
    """Raises UserError for the first value that can't be: names the key, what it must be, and what it is."""
    for key, example in _PARTS.items():
        if not isinstance(value := config[key], Mapping):
            raise UserError(f"{key} holds values by name, and can't be {value!r} itself. Try {example}")
    budget(config)
    processes = world_size(config)
    for key, choices in _CHOICES.items():
        if (value := _at(config, key)) not in choices:
            raise UserError(f"{key} must be one of {', '.join(choices)}, got {value!r}")
    for key, least in _WHOLE.items():
        value = _at(config, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key} must be a whole number of at least {least}, got {value!r}")
    if not isinstance(number := config.get("repetition", 0), int) or isinstance(number, bool) or number < 0:
        raise UserError(f"repetition must be a whole number of at least 0, got {number!r}")
    for key in _POSITIVE_OR_NULL:
        value = _at(config, key)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value <= 0):
            raise UserError(f"{key} must be a positive number, or null for no clipping, got {value!r}")
    for key in _SWITCHES:
        if not isinstance(value := _at(config, key), bool):
            raise UserError(f"{key} must be true or false, got {value!r}")
    batch = config["data"]["batch_size"]
    if batch != "full" and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise UserError(f"data.batch_size must be a whole number of at least 1, or full, got {batch!r}")
    threads = config["trainer"]["threads"]
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"trainer.threads must be a whole number of at least 1, or null, got {threads!r}")
    if config["trainer"]["strategy"] == "auto" and processes > 1:
        raise UserError(f"{processes} processes need a strategy: add trainer.strategy=ddp, or use trainer=ddp")
    if not isinstance(config["tags"], list) or any(not isinstance(tag, str) for tag in config["tags"]):
        raise UserError(f"tags must be a list of words, got {config['tags']!r}. Try tags=[first,second]")


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value

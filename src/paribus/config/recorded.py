"""Labels of a recorded configuration, whoever wrote it: that of an imported run has keys of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.config.nodes import Project, wandb_project


@dataclass(frozen=True)
class Recorded:
    """What a configuration says about its run. shown: the part that is shown to others, all but places and loggers."""

    group: str | None
    arm: str | None
    tags: Sequence[str]
    wandb: Project | None
    shown: Mapping[str, Any]

    @staticmethod
    def of(config: Mapping[str, Any], group: str | None, arm: str | None) -> Recorded:
        """group, arm: of the record, where the configuration names none."""
        return Recorded(
            config.get("group", group),
            config.get("arm", arm),
            config.get("tags") or [],
            wandb_project(config.get("logger") or {}),
            {key: value for key, value in config.items() if key not in ("paths", "logger")},
        )

"""The options of the local launcher: conf/hydra/launcher/paribus.yaml, `hydra.launcher.KEY=VALUE` in a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from paribus.base.durations import in_seconds
from paribus.base.errors import UserError
from paribus.base.text import near
from paribus.sweep.settings import check_settings, plain

RETRIED = {"out_of_memory": 1, "killed": 2, "timeout": 0, "storage": 0, "bug": 0}


@dataclass(frozen=True)
class Options:
    """How the jobs of a sweep run on this machine.

    slots: processes at a time on the CPU; None for cores // threads.
    threads: CPU threads of each process. One is fastest for many small jobs, and a run's last bits depend on it.
    gpus: their numbers, or None for all that are visible.
    jobs_per_gpu: small jobs that share a GPU.
    time_limit: seconds that a job may take; it is saved then.
    retries: how often a job is tried again, by the type of its failure.
    on_failure: whether the other jobs go on when one has failed for good.
    """

    slots: int | None = None
    threads: int = 1
    gpus: tuple[str, ...] | None = None
    jobs_per_gpu: int = 1
    time_limit: float | None = None
    retries: Mapping[str, int] = field(default_factory=lambda: dict(RETRIED))
    on_failure: str = "continue"

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Raises UserError that names the first option that can't be."""
        if unknown := next((key for key in given if key not in known(cls)), None):
            hint = near(unknown, known(cls), 1)
            raise UserError(f"hydra.launcher.{unknown} is not known.{hint} Known: {', '.join(known(cls))}")
        slots, limit, gpus = given.get("slots"), given.get("time_limit"), given.get("gpus", "auto")
        if (choice := given.get("on_failure", "continue")) not in ("continue", "stop"):
            raise error("on_failure", "continue or stop", choice)
        if gpus != "auto" and not (isinstance(gpus, Sequence) and not isinstance(gpus, str) and gpus):
            raise error("gpus", "auto, or a list of numbers such as [0,1]", gpus)
        try:
            seconds = None if limit is None else in_seconds(limit)
        except UserError as reason:
            raise UserError(f"hydra.launcher.time_limit: {reason}") from None
        if seconds == 0:
            raise error("time_limit", "longer than nothing, or null", limit)
        retries = dict(RETRIED)
        for kind, number in (given.get("retries") or {}).items():
            if kind not in RETRIED:
                hint = near(kind, RETRIED, 1)
                raise UserError(f"hydra.launcher.retries.{kind}: not a failure.{hint} Failures: {', '.join(RETRIED)}")
            retries[kind] = whole(f"retries.{kind}", number, 0)
        return cls(
            slots=None if slots is None else whole("slots", slots, 1),
            threads=whole("threads", given.get("threads", 1), 1),
            gpus=None if gpus == "auto" else tuple(map(str, gpus)),
            jobs_per_gpu=whole("jobs_per_gpu", given.get("jobs_per_gpu", 1), 1),
            time_limit=seconds,
            retries=retries,
            on_failure=choice,
        )


def known(options: type) -> list[str]:
    return [each.name for each in fields(options)]


def check_hydra(node: Any) -> None:
    """Raises UserError for what the sweep and the local launcher would refuse of Hydra's own node."""
    if str(node.launcher.get("_target_")).endswith(".ParibusLauncher"):
        Options.parse({key: value for key, value in node.launcher.items() if key != "_target_"})
    if str(node.sweeper.get("_target_")).endswith(".ParibusSweeper"):
        check_sweeper({key: value for key, value in node.sweeper.items() if key != "_target_"})
    check_settings("hydra.launcher", plain(node.launcher))
    check_settings("hydra.sweeper", plain(node.sweeper))


def check_sweeper(given: Mapping[str, Any]) -> None:
    """Raises UserError for what the sweeper does not take."""
    if unknown := next((key for key in given if key not in ("on_invalid", "params")), None):
        raise UserError(f"hydra.sweeper.{unknown} is not known. Known: on_invalid, params")
    if (choice := given.get("on_invalid", "stop")) not in ("stop", "skip"):
        raise UserError(f"hydra.sweeper.on_invalid must be stop or skip, got {choice!r}")


def whole(key: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(key, f"a whole number of at least {least}", value)
    return value


def error(key: str, wanted: str, value: Any) -> UserError:
    return UserError(f"hydra.launcher.{key} must be {wanted}, got {value!r}")

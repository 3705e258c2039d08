"""Slots that jobs run on: CPU threads, and shares of GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from paribus.base.errors import UserError


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Place:
    """What a job holds while it runs: `amount` of each of these units."""

    units: tuple[str, ...]
    amount: int


class Slots:
    """A pool of equal units, each with room for a number of jobs; jobs of several devices take several units.

    On the CPU a unit is the room for one process. A GPU is a unit with room for jobs_per_gpu.
    """

    def __init__(self, units: Sequence[str], room: int = 1):
        self.room = room
        self.free = dict.fromkeys(units, room)

    @classmethod
    def of_cpu(cls, slots: int | None, threads: int) -> Slots:
        return cls([str(number) for number in range(slots or max(1, cores() // threads))])

    @property
    def capacity(self) -> int:
        """Jobs of one device that run at a time."""
        return len(self.free) * self.room

    def take(self, devices: int, alone: bool = False) -> Place | None:
        """Units for a job, the emptiest first; None while there are not enough. alone: nothing else beside it.

        Raises UserError where there will never be enough.
        """
        if devices > len(self.free):
            raise UserError(f"trainer.devices={devices} needs as many GPUs, and the launcher has {len(self.free)}")
        amount = self.room if alone else 1
        emptiest = sorted(self.free, key=lambda unit: -self.free[unit])[:devices]
        if any(self.free[unit] < amount for unit in emptiest):
            return None
        for unit in emptiest:
            self.free[unit] -= amount
        return Place(tuple(emptiest), amount)

    def give_back(self, place: Place) -> None:
        for unit in place.units:
            self.free[unit] += place.amount

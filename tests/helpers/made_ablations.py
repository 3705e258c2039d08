"""Ablations with made-up records: what a store holds after their runs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from paribus.ablation.cells import Cell, Plan
from paribus.ablation.parser import parse
from paribus.ablation.planner import plan_ablation
from paribus.config.compose import hydra_context
from paribus.config.composer import Composer
from paribus.store.record import Record

COMPOSER = Composer()


class Made:
    """The plans of an ablation and the records of its runs.

    accuracy: of a cell, before what the seed and chance add; None where the run diverges. line: further overrides.
    """

    def __init__(
        self,
        section: Mapping[str, Any],
        accuracy: Callable[[Cell], float | None],
        noise: float = 0.004,
        line: Sequence[str] = (),
    ):
        self.section, self.accuracy, self.noise, self.line = section, accuracy, noise, line
        self.records: dict[str, Record] = {}
        self.plans = self.plan()
        while missing := [cell for plan in self.plans for cell in plan.cells if cell.id not in self.records]:
            self.records |= {cell.id: self.record(cell) for cell in missing}
            self.plans = self.plan()

    def plan(self) -> list[Plan]:
        with hydra_context():
            return [plan_ablation(each, ["model=mlp", *self.line], self.read, COMPOSER) for each in parse(self.section)]

    def read(self, id: str) -> Record | None:
        return self.records.get(id)

    def record(self, cell: Cell) -> Record:
        own = np.random.default_rng(int(cell.id, 16))
        common = np.random.default_rng(zlib.crc32(str(cell.seed).encode())).normal(0, 0.002)
        accuracy = self.accuracy(cell)
        value = (accuracy or 0.0) + common + own.normal(0, self.noise)
        values = dict(item.split("=", 1) for item in cell.overrides if "." in item.split("=")[0])
        return Record(
            cell.id,
            "done" if accuracy is not None else "diverged",
            seed=cell.seed,
            arm=cell.arm,
            choices={"model": "mlp", "norm": str(cell.choices.get("norm")), "loss": "cross_entropy", **values},
            comparable={"semantics": 1, "budget": "20 epochs", "data": "digits", "world_size": 1},
            metrics={"test/acc": value, "val/acc": value + 0.001, "test/loss": 1 - value} if accuracy else {},
            timing={"ms_per_update": 1.5 + own.normal(0, 0.1), "fit_seconds": 20.0},
            parameters=1000,
            classes=10,
        )

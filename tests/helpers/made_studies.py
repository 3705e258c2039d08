"""Ablations made of plain records: two regimes, tuning, hypotheses, runs that diverged or failed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from paribus.ablation.cells import Cell, Plan, Tuned
from paribus.ablation.parser import parse
from paribus.config.composed import Composed
from paribus.report.study import Study, study
from paribus.store.record import Record

RATES = (0.01, 0.1, 1.0)
METRICS = ("test/acc", "test/loss", "ms_per_update")
SIZES = (32, 8, 128, 256)


@dataclass
class Made:
    """Studies of one ablation, its plans, and the records and histories behind them."""

    studies: list[Study]
    plans: list[Plan]
    records: dict[str, Record] = field(default_factory=dict)
    histories: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def gather(self) -> None:
        """Make the studies of the records and histories as they are now."""
        self.studies.clear()
        for plan in self.plans:
            arms = {arm: [self.records.get(c.id) if c else None for c in cells] for arm, cells in plan.arms.items()}
            read, history = self.records.get, lambda id: self.histories.get(id, {})
            self.studies.append(study(plan.name, arms, METRICS, plan, read, history))


def made(arms=("b32", "b8", "b128"), seeds: int = 5, epochs: int = 12, regimes=("F", "T"), name="batch") -> Made:
    first, second = ({"batch_size": arm} for arm in arms[:2])
    section = {
        "name": name,
        "factors": {"batch_size": list(arms)},
        "tune": {"optimizer.lr": list(RATES)},
        "seeds": {"tune": 2, "report": seeds},
        "smallest_effect": 0.005,
        "targets": {"val/acc": 0.9},
        "regimes": {regime: {"tune": False} if regime == "F" else {} for regime in regimes},
        "hypotheses": [{"id": "H1", "claim": "The second is better", "arm": second, "versus": first}],
    }
    result = Made([], [])
    for number, ablation in enumerate(parse(section)):
        plan = Plan(ablation.title, ablation.metric, ablation=ablation)
        rng = np.random.default_rng(number)
        for k, arm in enumerate(arms):
            plan.levels[arm] = {"batch_size": arm}
            if ablation.tune:
                trials = []
                for rate in RATES:
                    ids = []
                    for seed in ablation.seeds.tune:
                        score = 0.9 - 0.05 * abs(math.log10(rate) + 1) + rng.normal(0, 0.003)
                        lost = rate == 1.0 and k == 1
                        cell = _cell(result, plan, arm, k, seed, "tune", score, epochs, rate, lost)
                        plan.tuning.append(cell)
                        ids.append(cell.id)
                    trials.append(({"optimizer.lr": rate}, tuple(ids)))
                plan.tuned[arm] = Tuned({"optimizer.lr": 0.1}, 0.9, (), tuple(trials))
            plan.arms[arm] = [
                _cell(result, plan, arm, k, seed, "report", _score(rng, k, number), epochs, 0.1, False)
                for seed in ablation.seeds.report
            ]
        result.plans.append(plan)
    _spoil(result)
    result.gather()
    return result


def _score(rng, arm: int, regime: int) -> float:
    """The second arm is better in the first regime and worse in the second."""
    return 0.93 + 0.02 * arm * (1 if regime == 0 else -1) + rng.normal(0, 0.002)


def _cell(result, plan, arm, k, seed, purpose, score, epochs, rate, lost) -> Cell:
    id = f"{len(result.plans):02x}{k:04x}{purpose[0].encode().hex()}{int(rate * 100):04x}{seed:04x}"
    config = {"optimizer": {"lr": rate}, "data": {"batch_size": SIZES[k % 4]}}
    result.records[id] = Record(
        id=id,
        status="diverged" if lost else "done",
        seed=seed,
        arm=arm,
        choices={"batch_size": f"b{SIZES[k % 4]}", "norm": arm, "model": "mlp", "optimizer.lr": rate},
        comparable={"semantics": 1, "budget": f"{epochs} epochs", "data": "abc", "world_size": 1},
        failure={"type": "diverged", "message": "train/loss is nan"} if lost else None,
        metrics={} if lost else {"test/acc": score, "test/loss": 1 - score, "val/acc": score},
        timing={"ms_per_update": 1.0 + k, "seconds_per_epoch": 1 / (1 + k), "fit_seconds": 3.0},
        parameters=100,
        provenance={
            "command": f"paribus train batch_size={arm!r} seed={seed}",
            "commit": "0" * 40,
            "versions": {"torch": "2.13.0"},
        },
        created="2026-11-24T10:00:00+00:00",
        finished="2026-11-24T10:10:00+00:00",
        classes=10,
    )
    if purpose == "report":
        epoch = np.arange(1, epochs + 1)
        noise = np.random.default_rng([k, seed]).normal(0, 0.05, epochs)
        result.histories[id] = {
            "epoch": epoch.tolist(),
            "step": (38 * epoch).tolist(),
            "seconds": (0.1 * epoch * (1 + seed / 10)).tolist(),
            "train/loss": (2 * np.exp(-4 * epoch / epochs + noise)).tolist(),
            "val/acc": np.clip(0.95 - 0.5 * np.exp(-4 * epoch / epochs + noise), 0, 1).tolist(),
            "lr": [rate] * epochs,
        }
    return Cell(arm, seed, purpose, (), id, Composed(config, {}))


def _spoil(result: Made) -> None:
    """In the last arm of the first plan one run failed, one is running, and one is missing, if it has so many."""
    cells = list(result.plans[0].arms.values())[-1]
    if len(cells) < 5:
        return
    failed, running, missing = cells[-3:]
    result.records[failed.id].status = "failed"
    result.records[failed.id].failure = {"type": "out_of_memory", "message": "<b>CUDA</b> out of memory\nTraceback"}
    result.records[failed.id].metrics = {}
    result.records[running.id].status = "running"
    result.records[running.id].metrics = {}
    result.histories[running.id] = {key: values[:4] for key, values in result.histories[running.id].items()}
    del result.records[missing.id]
    del result.histories[missing.id]


def made_grid(rows=("batch", "none"), columns=("b8", "b64", "b512"), seeds: int = 5) -> Study:
    """A grid of two factors that interact."""
    section = {"name": "grid", "design": "grid", "factors": {"norm": [*rows], "size": [*columns]}, "seeds": seeds}
    [ablation] = parse(section)
    plan, records, rng = Plan("grid", ablation.metric, ablation=ablation), {}, np.random.default_rng(0)
    for k, row in enumerate(rows):
        for m, column in enumerate(columns):
            arm = f"norm={row}, size={column}"
            plan.levels[arm] = {"norm": row, "size": column}
            plan.arms[arm] = []
            for seed in range(seeds):
                id = f"{k:04x}{m:04x}{seed:04x}"
                value = 0.9 + 0.01 * k + 0.005 * k * m + rng.normal(0, 0.002)
                choices = {"norm": row, "size": column}
                records[id] = Record(id, "done", seed=seed, arm=arm, choices=choices, metrics={"test/acc": value})
                plan.arms[arm].append(Cell(arm, seed, "report", (), id))
    arms = {arm: [records[cell.id] for cell in cells if cell] for arm, cells in plan.arms.items()}
    return study("grid", arms, ["test/acc"], plan, records.get, lambda id: {})

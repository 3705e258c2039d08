"""The sweeper behind every `-m`: an ablation file, or Hydra's own grammar; trains the cells that have no record yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ParibusSweeper(Sweeper):
    """Plans first, then hands the missing cells to the launcher.

    Raises UserError before anything trains for a command line that can't be planned, and RunsFailed after the last
    cell when some have failed: one failure does not keep the others from training.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.context = hydra_context
        self.settings = config
        self.jobs: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from paribus.plan.cells import Plan, ablation_of, plan_ablation, plan_sweep
        from paribus.plan.sweep import combinations, varied_keys
        from paribus.store.store import Store

        folder = Path(self.settings.hydra.sweep.dir)
        overrides = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(arguments)
        products = combinations(overrides)
        ablations = [ablation_of(product) for product in products]
        plans: list[Plan] = []
        for product, ablation in zip(products, ablations, strict=True):
            if ablation is not None:
                plans.append(plan_ablation(ablation, product, self._compose))
        plain = [product for product, ablation in zip(products, ablations, strict=True) if ablation is None]
        if plain:
            plans.append(plan_sweep(plain, varied_keys(overrides), self._compose))

        store = Store(Path(self.settings.paths.outputs))
        results: list[JobReturn] = []
        failed: list[str] = []
        for plan in plans:
            records = {cell.id: store.read(cell.id) for cell in plan.cells}
            finished = {id for id, record in records.items() if record and record.status in ("done", "diverged")}
            missing = [cell for cell in plan.cells if cell.id not in finished]
            say(
                f"{plan.name}: {len(plan.arms())} arms, {len(plan.cells)} runs: "
                f"{len(finished)} done, {len(missing)} to train"
                + (f"; {len(plan.duplicates)} named twice are trained once" if plan.duplicates else "")
            )
            folder.mkdir(parents=True, exist_ok=True)
            content = {"name": plan.name, "keys": varied_keys(overrides), "arms": {}}
            content["arms"] = {arm: [cell.id for cell in cells] for arm, cells in plan.arms().items()}
            (folder / "sweep.json").write_text(json.dumps(content, indent=1))
            group = json.dumps(plan.name)
            jobs = [[*cell.overrides, f"group={group}", f"arm={json.dumps(cell.arm)}"] for cell in missing]
            if jobs:
                results = list(self.jobs.launch(jobs, initial_job_idx=0))
                failed += [
                    f"{cell.arm} seed {cell.seed}: {type(result._return_value).__name__}: {result._return_value}"
                    for cell, result in zip(missing, results, strict=True)
                    if result.status == JobStatus.FAILED
                ]
        if failed:
            from paribus.errors import RunsFailed

            raise RunsFailed(failed)
        return results

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.context.config_loader.load_sweep_config(self.settings, list(overrides))


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

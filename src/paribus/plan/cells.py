"""From overrides or an ablation to cells, each with the id of its run. Composes each distinct arm once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf

from paribus.plan.ablation import Ablation, Arm
from paribus.plan.compose import load, resolved, user_errors
from paribus.plan.identity import run_id


@dataclass(frozen=True)
class Cell:
    """An arm with one seed: a run. `overrides` is the whole command line that trains it."""

    arm: str
    seed: int | None
    overrides: tuple[str, ...]
    id: str


@dataclass
class Plan:
    """The cells of a sweep in the order in which they are trained, without duplicates."""

    name: str
    cells: list[Cell]
    metric: str = "test/acc"
    duplicates: list[Cell] = field(default_factory=list)

    def arms(self) -> dict[str, list[Cell]]:
        """Cells by arm, in order."""
        table: dict[str, list[Cell]] = {}
        for cell in self.cells:
            table.setdefault(cell.arm, []).append(cell)
        return table


def ablation_of(overrides: Sequence[str]) -> Ablation | None:
    """The ablation that a command line names, if any."""
    with user_errors():
        config = load(overrides)
        section = OmegaConf.to_container(config.ablation, resolve=True) if config.get("ablation") else None
    return Ablation.parse(section) if section else None  # type: ignore[arg-type]


def plan_ablation(
    ablation: Ablation, overrides: Sequence[str], compose: Callable[[Sequence[str]], DictConfig] = load
) -> Plan:
    """Arms x seeds of an ablation. `overrides` is the rest of the command line, `ablation=NAME` included."""
    cells = []
    for seed in ablation.seeds:
        for arm in ablation.arms():
            cells.append((arm, seed))
    ids = _ids(cells, overrides, compose)
    return _without_duplicates(
        ablation.name,
        [
            Cell(arm.name, seed, (*overrides, *arm.overrides(), f"seed={seed}"), ids[arm.name, seed])
            for arm, seed in cells
        ],
        ablation.metric,
    )


def _ids(
    cells: Iterable[tuple[Arm, int]], overrides: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]
) -> dict[tuple[str, int], str]:
    """Seeds are plain values: composed once per arm, then set. Hydra takes 0.1-0.25 s for every composition."""
    composed: dict[str, DictConfig] = {}
    ids = {}
    for arm, seed in cells:
        with user_errors():
            if arm.name not in composed:
                composed[arm.name] = compose([*overrides, *arm.overrides()])
            config = composed[arm.name]
            config.seed = seed
            ids[arm.name, seed] = run_id(resolved(config))
    return ids


def plan_sweep(
    combinations: Sequence[Sequence[str]],
    keys: Sequence[str] = (),
    compose: Callable[[Sequence[str]], DictConfig] = load,
) -> Plan:
    """The cells of a plain sweep. It is called by the `keys` that it varies, but for seeds, and so are its arms."""
    shown = [key for key in keys if key != "seed" and not key.startswith("seeds.")]
    name = " x ".join(shown) or "seeds"
    cells = []
    for overrides in combinations:
        with user_errors():
            config = compose(overrides)
            varied = [item.lstrip("+") for item in overrides if item.partition("=")[0].lstrip("+") in shown]
            if len(shown) == 1:
                varied = [item.partition("=")[2] for item in varied]
            cells.append(Cell(", ".join(varied), config.seed, tuple(overrides), run_id(resolved(config))))
    return _without_duplicates(name, cells)


def _without_duplicates(name: str, cells: Sequence[Cell], metric: str = "test/acc") -> Plan:
    seen: set[str] = set()
    plan = Plan(name, [], metric)
    for cell in cells:
        (plan.duplicates if cell.id in seen else plan.cells).append(cell)
        seen.add(cell.id)
    return plan

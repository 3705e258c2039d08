"""Descents on error surfaces: a command line in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.config.compose import hydra_context, load, parse_overrides, resolved, user_errors
from paribus.config.nodes import learning_rate, monitored
from paribus.config.schema import parse
from paribus.config.sections import Descent
from paribus.config.sweep import combinations, varied_keys
from paribus.extras.surfaces.descend import descend
from paribus.extras.surfaces.draw import draw
from paribus.extras.surfaces.drawn import Drawn, Path
from paribus.run.build import as_user_error
from paribus.run.instantiate import check_arguments, instantiate


def descents(overrides: Sequence[str], multirun: bool) -> list[tuple[str, Drawn, list[Path], float]]:
    """(option, surface, its descents, tolerance) for each surface of a command line, in order.

    Raises UserError for a command line that can't be composed, or several values without multirun.
    """
    with hydra_context(), user_errors():
        parsed = parse_overrides(overrides)
        varied = varied_keys(parsed)
        if varied and not multirun:
            raise UserError(
                f"{varied[0]} has several values, but one descent takes a single one. Add -m to run all of them"
            )
        jobs = combinations(parsed)
        composed = [load(job, "surface") for job in jobs]
    found: dict[tuple[str, str], tuple[Any, list[Path], float]] = {}
    for job, whole in zip(jobs, composed, strict=True):
        asked, choices = parse(Descent, resolved(whole)), whole.hydra.runtime.choices
        tolerance = asked.tolerance
        if (monitor := monitored(asked.scheduler)) not in (None, "val/loss"):
            raise UserError(
                f"scheduler.monitor must be val/loss in a descent, where it is the surface's value, got {monitor}. "
                "Leave it out"
            )
        ground = instantiate("surface", asked.surface)
        check_arguments("optimizer", asked.optimizer)
        with as_user_error("optimizer"):
            descent = descend(
                ground,
                instantiate("optimizer", asked.optimizer),
                instantiate("scheduler", asked.scheduler),
                asked.steps,
                seed=asked.seed,
            )
        level = (ground.lowest if ground.lowest is not None else -float("inf")) + tolerance
        parts = [item for item in job if item.partition("=")[0] in varied and not item.startswith("surface=")]
        parts = parts or [f"optimizer={choices.optimizer}", f"optimizer.lr={learning_rate(asked.optimizer)}"]
        path = Path(
            " ".join(parts),
            descent.points,
            descent.losses,
            descent.diverged,
            descent.steps_to(level),
            None if descent.diverged else descent.settled(level),
        )
        # Surfaces that differ in what a figure shows (a varied condition, say) have a figure of their own.
        ground_keys = [item for item in parts if item.startswith("surface.") and not item.startswith("surface.start")]
        shown = (str(choices.surface), " ".join(ground_keys))
        found.setdefault(shown, (ground, [], tolerance))[1].append(path)
    results = []
    for number, ((option, ground_keys_text), (ground, paths, tolerance)) in enumerate(found.items()):
        several = sum(other == option for other, _ in found) > 1
        name = f"{option}_{number + 1}" if several else option
        results.append((name, draw(f"{option} {ground_keys_text}".strip(), ground), paths, tolerance))
    return results

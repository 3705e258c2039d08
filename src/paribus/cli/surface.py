"""`paribus surface`: any optimizer and schedule on an error surface."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from paribus.report.surface import Drawn
    from paribus.surfaces.catalogue import Surface

CONTEXT = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=CONTEXT)
@click.argument("overrides", nargs=-1)
@click.option("-m", "--multirun", is_flag=True, help="Every combination of the values given, key=a,b.")
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
def surface(overrides: tuple[str, ...], multirun: bool, output: str) -> None:
    """Descend on an error surface: surface=valley optimizer=adagrad_rms optimizer.lr=0.1 scheduler=cosine steps=500.

    Prints what became of each descent; one figure for each surface, PNG and PDF. The groups are surface (conf/surface),
    optimizer and scheduler; steps, tolerance and seed are plain keys.
    """
    from pathlib import Path as Folder

    from paribus.report.figures import save
    from paribus.report.surface import figure, table

    for number, (name, drawn, paths, tolerance) in enumerate(descents(overrides, multirun)):
        sys.stdout.write(("\n" if number else "") + table(drawn, paths, tolerance))
        sys.stdout.flush()
        for path in save(figure(drawn, paths), Folder(output) / f"surface_{name}"):
            print(path, file=sys.stderr)


def descents(overrides: Sequence[str], multirun: bool) -> list[tuple[str, Drawn, list[Any], float]]:
    """(option, surface, its descents, tolerance) for each surface of a command line, in order."""
    from paribus.errors import UserError
    from paribus.plan.compose import hydra_context, load, parse_overrides, resolved, user_errors
    from paribus.plan.sweep import combinations, varied_keys
    from paribus.report.surface import Path
    from paribus.surfaces.descend import descend
    from paribus.train.build import as_user_error
    from paribus.train.instantiate import check_arguments, instantiate

    with hydra_context(), user_errors():
        parsed = parse_overrides(overrides)
        varied = varied_keys(parsed)
        if varied and not multirun:
            raise UserError(f"{varied[0]} has several values, and one descent takes one. Add -m for all of them")
        jobs = combinations(parsed)
        composed = [load(job, "surface") for job in jobs]
    found: dict[tuple[str, str], tuple[Any, list[Path], float]] = {}
    for job, whole in zip(jobs, composed, strict=True):
        config, choices = resolved(whole), whole.hydra.runtime.choices
        for key, least in (("steps", 1), ("seed", 0)):
            if not isinstance(config[key], int) or isinstance(config[key], bool) or config[key] < least:
                raise UserError(f"{key} must be a whole number of at least {least}, got {config[key]!r}")
        tolerance = config["tolerance"]
        if not isinstance(tolerance, int | float) or isinstance(tolerance, bool) or tolerance <= 0:
            raise UserError(f"tolerance must be a positive number, got {tolerance!r}")
        ground = instantiate("surface", config["surface"])
        check_arguments("optimizer", config["optimizer"])
        with as_user_error("optimizer"):
            descent = descend(
                ground,
                instantiate("optimizer", config["optimizer"]),
                instantiate("scheduler", config["scheduler"]),
                config["steps"],
                seed=config["seed"],
            )
        level = (ground.lowest if ground.lowest is not None else -float("inf")) + tolerance
        parts = [item for item in job if item.partition("=")[0] in varied and not item.startswith("surface=")]
        parts = parts or [f"optimizer={choices.optimizer}", f"optimizer.lr={config['optimizer'].get('lr', '')}"]
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


def draw(name: str, ground: Surface, points: int = 161) -> Drawn:
    """The surface over its window, as arrays."""
    import numpy as np
    import torch

    from paribus.report.surface import Drawn

    axes = [torch.linspace(low, high, points, dtype=torch.float64) for low, high in ground.window()]
    if len(axes) == 1:
        values = [float(ground(x[None])) for x in axes[0]]
        return Drawn(name, axes[0].numpy(), None, np.array(values), ground.lowest)
    grid = None
    if len(ground.point()) == 2:
        x, y = torch.meshgrid(axes[0], axes[1], indexing="xy")
        grid = torch.vmap(ground)(torch.stack([x.flatten(), y.flatten()], 1)).view(x.shape).numpy()
    return Drawn(name, axes[0].numpy(), axes[1].numpy(), grid, ground.lowest)

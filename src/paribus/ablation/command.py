"""Plans of a command line: one for each ablation (and regime) that it names, one for a plain sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paribus.ablation.cells import Plan, Read
from paribus.ablation.distinct import same_runs, why_refused
from paribus.ablation.planner import ablations_of, plan_ablation, plan_sweep
from paribus.base.errors import UserError
from paribus.base.redaction import redacted_override
from paribus.config.compose import hydra_context, parse_overrides, user_errors
from paribus.config.composer import Composer
from paribus.config.grammar import override_value
from paribus.config.sweep import combinations, varied_keys


def plan_command(
    arguments: Sequence[str], read: Read, composer: Composer | None = None, plan: Callable[..., Plan] = plan_ablation
) -> list[Plan]:
    """The plans of `paribus train -m ARGUMENTS`, as far as the records that `read` finds allow.

    composer: remembers what it composed; pass the same one to plan again after a stage of training.
    plan: makes the plan of an ablation, as `plan_ablation` does.

    Raises UserError for a command line or an ablation file that can't mean anything.
    """
    composer = composer or Composer()
    with hydra_context():
        with user_errors():
            overrides = parse_overrides(arguments)
        keys = varied_keys(overrides)
        if any(override.key_or_group == "members" for override in overrides):
            raise UserError("members is set by a sweep for the job of a stack. Leave it out; stack=auto makes stacks")
        plans: list[Plan] = []
        plain: list[list[str]] = []
        for product, more in _products(overrides, composer):
            keys += [key for key in more if key not in keys]
            if ablations := ablations_of(product, composer):
                varied = [redacted_override(item) for item in product if item.partition("=")[0].lstrip("+") in keys]
                setting = f" ({', '.join(varied)})" if keys else ""
                plans += [plan(each, product, read, composer, each.title + setting) for each in ablations]
            else:
                plain.append(product)
        runs: dict[tuple[str, str | None], dict[str, list[str]]] = {}
        for each in plans if len(plans) > 1 else []:
            assert each.ablation is not None
            same = runs.setdefault((each.ablation.name, each.ablation.regime), {})
            same[each.name] = [cell.id for cell in each.cells]
        if found_same := [names for each in runs.values() for names in same_runs(each)]:
            raise UserError(why_refused(found_same))
        if plain:
            plans.append(plan_sweep(plain, keys, composer))
        return plans


def _products(overrides: Sequence[Any], composer: Composer) -> Iterator[tuple[list[str], list[str]]]:
    """Every combination of a command line and of what its configuration sweeps besides, with the keys of the latter."""
    for product in combinations(overrides):
        given = {item.partition("=")[0].lstrip("+~") for item in product}
        with user_errors():
            lines = [
                f"{key}={value if isinstance(value, str) else override_value(value)}"
                for key, value in composer(product).axes.items()
            ]
            axes = [axis for axis in parse_overrides(lines) if axis.key_or_group not in given]
        for further in combinations(axes) if axes else [[]]:
            yield [*product, *further], varied_keys(axes)

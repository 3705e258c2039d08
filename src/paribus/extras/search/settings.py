"""The settings of a search: conf/hydra/sweeper/optuna.yaml, and what has taken the place of older keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from paribus.base.errors import UserError
from paribus.base.metrics import Key
from paribus.base.terminal import say
from paribus.base.text import near
from paribus.config.schema import keys, value
from paribus.sweep.settings import Study, check_settings, plain

# Of hydra-optuna-sweeper, with the values that said nothing, and what to write now.
REMOVED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "direction": ((None,), "the direction follows from the objective"),
    "max_failure_rate": ((None, 0.0, 1.0), "a search goes on whatever fails, and fails where everything has failed"),
    "search_space": ((None,), "what is searched stands in hydra.sweeper.params"),
    "custom_search_space": ((None,), "what is searched stands in hydra.sweeper.params"),
}
NODES = ("sampler", "pruner")


def settings_of(sweeper: DictConfig) -> tuple[Study, dict[str, Mapping[str, Any]]]:
    """The settings of a search, and the nodes of its sampler and its pruner.

    Raises UserError for a setting that can't be. Says what has taken the place of those that are gone.
    """
    node = plain(sweeper)
    for name, (nothing, instead) in REMOVED.items():
        if name in node and node[name] not in nothing:
            say(f"hydra.sweeper.{name} was removed: {instead}. Leave it out")
    names = keys(Study)
    known = [*names, *NODES]
    if unknown := next((key for key in node if not key.startswith("_") and key not in (*known, *REMOVED)), None):
        raise UserError(f"hydra.sweeper.{unknown} is not known.{near(unknown, known, 1)} Known: {', '.join(known)}")
    check_settings("hydra.sweeper", node)
    for name in NODES:
        if not isinstance(node.get(name), Mapping) or "_target_" not in node[name]:
            raise UserError(
                f"hydra.sweeper.{name} is an option of hydra/sweeper/{name}, got {node.get(name)!r}. Write "
                f"hydra/sweeper/{name}=OPTION"
            )
    return (
        Study(**{name: value(hint, node[name], f"hydra.sweeper.{name}") for name, hint in names.items()}),
        {name: node[name] for name in NODES},
    )


def check_direction(sweeper: DictConfig, objectives: Sequence[Key]) -> None:
    """Raises UserError where an old setting contradicts what is declared of the objectives."""
    given = plain(sweeper)
    if (told := given.get("direction")) is None:
        return
    told = [str(each).rpartition(".")[2] for each in (told if isinstance(told, list) else [told])]
    wanted = ["maximize" if objective.metric.higher else "minimize" for objective in objectives]
    if told != wanted:
        raise UserError(
            f"hydra.sweeper.direction is {', '.join(told)}, but {', '.join(objectives)} has the direction "
            f"{', '.join(wanted)}. Leave hydra.sweeper.direction out: it follows from the objective"
        )

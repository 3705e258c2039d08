"""One composed command line, checked as a whole and trained."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from paribus.ablation.ablation_files import place_of
from paribus.ablation.parser import parse
from paribus.config.compose import parse_overrides, resolved, user_errors
from paribus.config.run import Run
from paribus.config.sweep import check_once
from paribus.store.record import Record
from paribus.sweep.dispatch import dispatch
from paribus.sweep.meeting import Node


def train_composed(config: DictConfig, job: Any, node: Node | None = None) -> Record:
    """The record of what `config` describes, which is trained unless it is done.

    job: Hydra's own node of the composition, which names the overrides and the chosen options.
    node: this machine, among several that train it together.

    Raises what `dispatch` raises, and UserError for a key that is given twice or a damaged section `ablation`.
    """
    overrides = [str(item) for item in job.overrides.task]
    with user_errors():
        check_once(parse_overrides([*overrides, *job.overrides.hydra]))
        run = Run.parse(resolved(config))
        if run.ablation:  # a run of it, which has to be one of an ablation that means something
            parse(run.ablation, place_of(str(job.runtime.choices.get("ablation"))), run.measured)
    return dispatch(run, dict(job.runtime.choices), overrides, node=node)

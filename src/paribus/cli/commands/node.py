"""Train one run on several machines: the same command on each of them, with its own number."""

from __future__ import annotations

import os

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError

SECTION = "Plan and train"


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.option(
    "--rank",
    type=click.IntRange(0),
    help="The number of this machine, from 0. Within a step of SLURM (srun) it is known.",
)
@click.option("--of", type=click.IntRange(1), help="The number of machines. Within a step of SLURM it is known.")
@click.argument("overrides", nargs=-1, required=True, type=click.UNPROCESSED)
def command(rank: int | None, of: int | None, overrides: tuple[str, ...]) -> None:
    from paribus.sweep.meeting import Node
    from paribus.sweep.slurm_step import step
    from paribus.sweep.train import main

    found = step(os.environ)
    if rank is None and of is None and found is not None:
        node = found
    elif rank is None or of is None:
        missing = "--rank" if rank is None else "--of"
        raise UserError(f"a node has a number and a number of nodes, and {missing} is missing. Give both")
    else:
        node = Node(rank, of)
    if any(each in ("-m", "--multirun") for each in overrides):
        raise UserError("paribus node trains one run, got -m. A sweep of such runs needs hydra/launcher=submitit_slurm")
    if not any(each.lstrip("+").startswith("trainer.num_nodes=") for each in overrides):
        overrides = (*overrides, f"trainer.num_nodes={node.count}")
    main(overrides, node)

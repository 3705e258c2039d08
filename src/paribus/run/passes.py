"""A pass of a batch of each size through a network, its loss and its optimizer, on a device of choice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from paribus.base.errors import UserError
from paribus.config.nodes import name_of
from paribus.config.run import Run
from paribus.run import build
from paribus.run.metrics import Totals
from paribus.techniques.norms.batch_norm import SyncBatchNorm
from paribus.techniques.norms.statistics import buffer_versions, unknown_statistics

SYNCHRONISED = (SyncBatchNorm, nn.SyncBatchNorm)


def _sizes(run: Run, shares: Sequence[tuple[int, ...]], synchronised: bool) -> list[int]:
    """How many samples come through a network, or through all processes' where norms are synchronised."""
    parts = run.trainer.accumulate
    sizes: set[int] = set()
    for share in shares:
        smallest = [each // parts for each in share]  # the parts of a process differ by one sample at most
        sizes |= {sum(smallest)} if synchronised else set(smallest)
    return sorted(sizes)


def on_meta(run: Run, setting: build.Setting, shares: Sequence[tuple[int, ...]]) -> tuple[nn.Module, list[str]]:
    """The network on the meta device, with gradients, after a batch of each size; what keeps statistics in it that
    nobody can compute anew."""
    with torch.device("meta"):
        network = build.build_network(run, setting).train()
        synchronised = any(isinstance(module, SYNCHRONISED) for module in network.modules())
        return network, _passes(run, setting, network, _sizes(run, shares, synchronised))


def try_on(run: Run, setting: build.Setting, shares: Sequence[tuple[int, ...]], device: str, most: int) -> None:
    """Build the network and its optimizer on a real device and take a step, with batches of `most` samples at most.
    Raises whatever can't work."""
    network = build.build_network(run, setting).to(device).train()
    synchronised = any(isinstance(module, SYNCHRONISED) for module in network.modules())
    sizes = {min(size, most) for size in _sizes(run, shares, synchronised)}
    with torch.device(device):
        unknown = _passes(run, setting, network, sorted(sizes))
    optimizer = build.build_optim(run, network)
    check_statistics(run, optimizer, unknown)
    take_step(run, optimizer)
    check_callbacks(run, network)


def _passes(run: Run, setting: build.Setting, network: nn.Module, sizes: Sequence[int]) -> list[str]:
    """A batch of each size through network, loss and metrics and back. What keeps `unknown_statistics`."""
    versions = list(buffer_versions(network).values())
    for size in sizes:
        x, y = setting.form.zeros(size)
        with build.as_user_error(f"{build.names(run)} on a batch of {size}"):
            outputs = network(x)
            loss = setting.task.loss(outputs, y)
            totals = Totals(setting.task, x.device)
            totals.update(loss, outputs, y)
            totals.state()
            loss.backward()
    return unknown_statistics(network, versions)


def check_statistics(run: Run, optimizer: torch.optim.Optimizer, unknown: Sequence[str]) -> None:
    """Raises UserError where moving statistics are to be computed anew and are of a kind that is not known."""
    asked = run.evaluation.statistics
    averaged = any("train_mode" in group for group in optimizer.param_groups)
    if unknown and (averaged or asked != "moving"):
        why = f"evaluation.statistics={asked}"
        if asked == "moving":
            why = f"optimizer={name_of(run.optimizer)}, which evaluates averaged weights,"
        named = ", ".join(unknown[:3]) + (" and others" if len(unknown) > 3 else "")
        remedy = "another optimizer" if asked == "moving" else "evaluation.statistics=moving"
        raise UserError(
            f"{why} needs the statistics of norms anew, and Paribus can't compute those of {named}: only of norms of "
            f"conf/norm and torch.nn, and subclasses that leave the forward pass alone. Use one of these, or {remedy}"
        )


def check_callbacks(run: Run, network: nn.Module) -> None:
    for callback in build.build_callbacks(run):
        if hasattr(callback, "check"):
            with build.as_user_error("callbacks"):
                callback.check(network, run.processes)


def take_step(run: Run, optimizer: torch.optim.Optimizer) -> None:
    with build.as_user_error(f"optimizer={name_of(run.optimizer)} with {build.names(run)}"):
        try:
            optimizer.step()
        except RuntimeError as error:
            # Some optimizers look at numbers, and there are none on the meta device.
            if "meta tensors" not in str(error):
                raise

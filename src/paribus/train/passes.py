"""A pass of a batch of each size through a network, its loss and its optimizer, on a device of choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from paribus.config.identity import world_size
from paribus.errors import UserError
from paribus.metrics import Totals
from paribus.nn.batch_norm import SyncBatchNorm
from paribus.nn.statistics import buffer_versions, unknown_statistics
from paribus.train import build

Config = Mapping[str, Any]
SYNCHRONISED = (SyncBatchNorm, nn.SyncBatchNorm)


def _sizes(config: Config, shares: Sequence[tuple[int, ...]], synchronised: bool) -> list[int]:
    """How many samples come through a network, or through all processes' where norms are synchronised."""
    parts = config["trainer"]["accumulate"]
    sizes: set[int] = set()
    for share in shares:
        smallest = [each // parts for each in share]  # the parts of a process differ by one sample at most
        sizes |= {sum(smallest)} if synchronised else set(smallest)
    return sorted(sizes)


def on_meta(config: Config, setting: build.Setting, shares: Sequence[tuple[int, ...]]) -> tuple[nn.Module, list[str]]:
    """The network on the meta device, with gradients, after a batch of each size; what keeps statistics in it that
    nobody can compute anew."""
    with torch.device("meta"):
        network = build.build_network(config, setting).train()
        synchronised = any(isinstance(module, SYNCHRONISED) for module in network.modules())
        return network, _passes(config, setting, network, _sizes(config, shares, synchronised))


def try_on(config: Config, setting: build.Setting, shares: Sequence[tuple[int, ...]], device: str, most: int) -> None:
    """Build the network and its optimizer on a real device and take a step, with batches of `most` samples at most.
    Raises whatever can't work."""
    network = build.build_network(config, setting).to(device).train()
    synchronised = any(isinstance(module, SYNCHRONISED) for module in network.modules())
    sizes = {min(size, most) for size in _sizes(config, shares, synchronised)}
    with torch.device(device):
        unknown = _passes(config, setting, network, sorted(sizes))
    optimizer = build.build_optim(config, network)
    check_statistics(config, optimizer, unknown)
    take_step(config, optimizer)
    check_callbacks(config, network)


def _passes(config: Config, setting: build.Setting, network: nn.Module, sizes: Sequence[int]) -> list[str]:
    """A batch of each size through network, loss and metrics and back. What keeps `unknown_statistics`."""
    versions = list(buffer_versions(network).values())
    for size in sizes:
        x = torch.zeros((size, *setting.source.shape))
        y = torch.zeros(size, dtype=torch.long)
        with build.as_user_error(f"{build.names(config)} on a batch of {size}"):
            outputs = network(x)
            loss = setting.loss(outputs, y)
            totals = Totals(x.device)
            totals.update(loss, outputs, y, setting.loss)
            totals.state()
            loss.backward()
    return unknown_statistics(network, versions)


def check_statistics(config: Config, optimizer: torch.optim.Optimizer, unknown: Sequence[str]) -> None:
    """Raises UserError where moving statistics are to be computed anew and are of a kind that is not known."""
    asked = config["evaluation"]["statistics"]
    averaged = any("train_mode" in group for group in optimizer.param_groups)
    if unknown and (averaged or asked != "moving"):
        why = f"evaluation.statistics={asked}"
        if asked == "moving":
            why = f"optimizer={build.name_of(config['optimizer'])}, which evaluates averaged weights,"
        named = ", ".join(unknown[:3]) + (" and others" if len(unknown) > 3 else "")
        remedy = "another optimizer" if asked == "moving" else "evaluation.statistics=moving"
        raise UserError(
            f"{why} needs the statistics of norms anew, and Paribus can't compute those of {named}: only of norms of "
            f"conf/norm and torch.nn, and subclasses that leave the forward pass alone. Use one of these, or {remedy}"
        )


def check_callbacks(config: Config, network: nn.Module) -> None:
    for callback in build.build_callbacks(config):
        if hasattr(callback, "check"):
            with build.as_user_error("callbacks"):
                callback.check(network, world_size(config))


def take_step(config: Config, optimizer: torch.optim.Optimizer) -> None:
    with build.as_user_error(f"optimizer={build.name_of(config['optimizer'])} with {build.names(config)}"):
        try:
            optimizer.step()
        except RuntimeError as error:
            # Some optimizers look at numbers, and there are none on the meta device.
            if "meta tensors" not in str(error):
                raise

"""The curvature of a recorded run: its loss as a function of its weights, analysed in float64."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paribus.base.atomic import write_file_atomically
from paribus.base.errors import UserError
from paribus.base.stages import load_stages
from paribus.base.weights import flatten, unflatten_into
from paribus.extras.curvature.analysis import Analysis, Effort, analyse
from paribus.extras.curvature.escape import follow
from paribus.extras.curvature.objective import Risk
from paribus.run import build
from paribus.run.evaluate import Reloaded, reload
from paribus.run.ticker import Ticker
from paribus.store.record import Record
from paribus.store.store import Store


def analyse_record(
    record: Record,
    store: Store,
    *,
    checkpoint: Path | None = None,
    split: str = "train",
    samples: int | None = None,
    decay: bool = False,
    effort: Effort,
    seed: int = 0,
    escape: int | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """The analysis of a run's mean loss over a split as plain values; see paribus.extras.curvature.analysis.

    Norms use their moving statistics, dropout and augmentation are off.

    decay: add the weight decay of the run's optimizer as a penalty on the weights: what gradient descent then descends.
        (Decay that is decoupled from an adaptive rate, as AdamW's, is the gradient of no function: this is not it.)
    samples: use this many, evenly spaced over the split; None for all.
    escape: number of updates to train on with after a strict saddle; None to stay.
    trust: whether what the configuration of an imported run names may be called.

    What is found lies in RUN/curvature/state.pt as soon as it is found: an interrupted analysis goes on from there.

    Raises UserError for a run that can't be reloaded or whose loss is not finite.
    """
    run = reload(record, store, checkpoint, double=True, trust=trust)
    objective = build_risk(run, split, samples, decay)
    theta = objective.point(run.network)
    if not math.isfinite(objective.value(theta)):
        raise UserError(
            f"the loss of {record.id} is not finite at these weights, so the run has diverged. Try --checkpoint"
        )
    folder = store.run_dir(record.id) / "curvature"
    settings = {
        "weights": hashlib.sha256(theta.cpu().numpy().tobytes()).hexdigest()[:16],
        "split": split,
        "samples": objective.samples,
        "decay": decay,
        "seed": seed,
        **{name: value for name, value in asdict(effort).items() if name != "refine_steps"},  # more steps go on
    }
    stages: dict[str, Any] = load_stages(folder / "state.pt", settings)

    def save() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {"settings": settings, "stages": stages}
        write_file_atomically(folder / "state.pt", lambda path: torch.save(content, path))

    ticker = Ticker()
    try:
        found = analyse(objective, theta, effort, seed=seed, stages=stages, save=save, on_progress=ticker)
        result = {"run": record.id, **settings, "start_loss": stages["loss"], **found.as_dict()}
        if escape is not None and found.verdict == "strict saddle":
            result["escape"] = escape_saddle(run, objective, found, escape, folder / "escaped.ckpt", ticker)
    finally:
        ticker.close()
    return result


def build_risk(run: Reloaded, split: str, samples: int | None, decay: bool = False) -> Risk:
    """The mean loss of a reloaded run over a split, in batches of its evaluation.batch_size."""
    part = getattr(run.data.splits, split)
    number = len(part) if samples is None else samples
    if not 1 <= number <= len(part):
        raise UserError(f"--samples is a number from 1 to {len(part)}, the size of the {split} split, got {samples}")
    size = run.configured.evaluation.batch_size

    if number == len(part):

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            return run.data.evaluation_batches(split, size)

    else:
        chosen = torch.arange(number) * len(part) // number
        x, y = (tensor.to(run.device) for tensor in part.gather(chosen.to(part.y.device)))

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            return zip(x.split(size), y.split(size), strict=True)

    task, loss = run.setting.task, run.setting.task.loss
    weights = [found.sum() for _, y in batches() if (found := task.weights(y)) is not None]
    if weights:  # the mean of the split, which is no mean of those of batches
        scale = number / float(sum(weights))

        def loss(outputs: Tensor, target: Tensor) -> Tensor:
            return scale * task.per_sample(outputs, target).mean()

    penalty = decay_of(run) if decay else None
    return Risk(run.network, loss, batches, number, dtype=torch.float64, penalty=penalty)


def decay_of(run: Reloaded) -> Tensor:
    """The weight decay of each coordinate of the flattened parameters (n,)."""
    optimizer = build.build_optim(run.configured, run.network)
    rates = {p: float(group.get("weight_decay", 0.0)) for group in optimizer.param_groups for p in group["params"]}
    return torch.cat([torch.full_like(p, rates[p]).flatten() for p in run.network.parameters() if p.requires_grad])


def escape_saddle(
    run: Reloaded, objective: Risk, found: Analysis, updates: int, path: Path, ticker: Ticker
) -> dict[str, float]:
    """Losses of training on from the saddle, with and without the step along its negative curvature.

    Both train with the run's own optimizer and rate on the whole analysed set: the function whose saddle it is. The
    weights after the escape are written to `path`, a checkpoint that `paribus evaluate --checkpoint` reads.
    """
    refined = found.refined
    first = found.confirmation.step if found.confirmation and found.confirmation.confirmed else 1e-3
    stepped = follow(objective, refined.theta, found.direction, refined.gradient, first)
    stayed = train_on(run, objective, refined.theta, updates, lambda k: ticker("staying", k, updates))
    left = train_on(run, objective, stepped, updates, lambda k: ticker("escaping", k, updates))
    unflatten_into(run.network, left)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"network.{name}": value.cpu() for name, value in run.network.state_dict().items()}
    write_file_atomically(path, lambda temporary: torch.save({"state_dict": state}, temporary))
    return {
        "updates": updates,
        "step": float((stepped - refined.theta).norm()),
        "loss_saddle": refined.loss,
        "loss_stepped": objective.value(stepped),
        "loss_stayed": objective.value(stayed),
        "loss_escaped": objective.value(left),
    }


def train_on(run: Reloaded, objective: Risk, theta: Tensor, updates: int, on_update: Any) -> Tensor:
    """theta (n,) after `updates` of the run's optimizer, from a fresh state, with gradients of the objective."""
    unflatten_into(run.network, theta)
    optimizer = build.build_optim(run.configured, run.network)
    parameters = [p for p in run.network.parameters() if p.requires_grad]
    for update in range(updates):
        _, gradient = objective.gradient(flatten(run.network))
        for p, part in zip(parameters, gradient.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view(p.shape)
        optimizer.step()
        on_update(update + 1)
    return flatten(run.network)

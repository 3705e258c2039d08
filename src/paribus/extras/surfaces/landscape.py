"""Loss landscapes of recorded runs: slices around the weights, the trajectory's plane, the way from run to run."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from paribus.base import archive
from paribus.base.atomic import write_file_atomically
from paribus.base.errors import UserError
from paribus.base.metrics import kind
from paribus.base.stages import load_stages
from paribus.base.weights import flatten, unflatten_into
from paribus.datasets.prepare import LazySet, TensorSet
from paribus.extras.surfaces.slices import evaluate_grid, filter_normalised, principal_plane
from paribus.report.numbers import name, title
from paribus.run.evaluate import Reloaded, reload
from paribus.run.evaluation import evaluate
from paribus.run.single import STATISTICS_BATCHES
from paribus.run.ticker import Ticker
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.techniques.norms.statistics import recomputed_statistics, unknown_statistics

SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class View:
    """What is looked at.

    points: along each axis of a plane; a line has twice as many and one. span: half the width of slices, in lengths
    of the weights' own filters. split, samples: what the loss is a mean over; evenly spaced, None for all.
    statistics: of batch norm at each point: "recomputed" from training data, or "moving", those of the run's end.
    seed: of the random directions.
    """

    points: int = 25
    span: float = 1.0
    split: str = "train"
    samples: int | None = 1000
    statistics: Literal["recomputed", "moving"] = "recomputed"
    seed: int = 0


def landscape(record: Record, store: Store, view: View, *, trust: bool = False) -> dict[str, Any]:
    """A line and a plane of filter-normalised random directions around a run's weights; where it saved snapshots, its
    trajectory in the plane of its principal components as well. Plain values.

    What is found lies in RUN/landscape/state.pt: an interrupted call goes on from there.

    trust: whether what the configuration of an imported run names may be called.
    """
    run = reload(record, store, trust=trust)
    origin = flatten(run.network)
    snapshots = read_snapshots(store.run_dir(record.id) / "snapshots", len(origin))
    work = Work(run, store.run_dir(record.id) / "landscape", view, [origin])
    generator = torch.Generator().manual_seed(view.seed)
    random = torch.stack([filter_normalised(run.network, generator) for _ in range(2)]).to(origin)
    long = view.span * torch.arange(-view.points, view.points + 1).double() / view.points  # 0 is exactly in it
    short = torch.linspace(-view.span, view.span, view.points, dtype=torch.float64)
    result = {"run": record.id, **asdict(view), "samples": work.samples, "beside": work.beside()}
    result["line"] = work.grid("line", origin, random[:1], [long])
    result["plane"] = work.grid("plane", origin, random, [short, short])
    if snapshots is not None:
        steps, weights = snapshots
        try:
            plane = principal_plane(weights)
        except ValueError as error:
            raise UserError(f"the snapshots of run {record.id} make no trajectory: {error}. Train it longer") from error
        margin = 0.15 * (plane.path.amax(0) - plane.path.amin(0))
        low, high = plane.path.amin(0) - margin, plane.path.amax(0) + margin
        axes = [torch.linspace(float(a), float(b), view.points) for a, b in zip(low, high, strict=True)]
        result["trajectory"] = {
            **work.grid("trajectory", plane.origin.to(origin), plane.directions.to(origin), axes),
            "path": plane.path.tolist(),
            "steps": steps,
            "explained": plane.explained[:2].tolist(),
        }
    work.ticker.close()
    return result


def interpolation(first: Record, second: Record, store: Store, view: View, *, trust: bool = False) -> dict[str, Any]:
    r"""The loss along $(1 - \alpha)\,\theta_1 + \alpha\,\theta_2$ for alpha from -1/2 to 3/2, as plain values.

    A barrier between the two says that they lie in different basins, as far as straight lines can say so. With the
    order of hidden units as it is: another order of the same network is another point.

    Source: Goodfellow, Vinyals & Saxe 2015, arXiv:1412.6544; Frankle et al. 2020, arXiv:1912.05671.

    Raises UserError for runs of different networks or data.
    """
    run, other = (reload(each, store, trust=trust) for each in (first, second))
    shapes = [[(name, tuple(p.shape)) for name, p in each.network.named_parameters()] for each in (run, other)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"a line between two runs needs networks of the same form, and {first.id} and {second.id} differ in model "
            "or norm. Compare runs that differ in seed, optimizer or data order"
        )
    if run.data.splits.fingerprint != other.data.splits.fingerprint:
        raise UserError(
            f"{first.id} and {second.id} were trained on different data or splits, so no loss belongs to both"
        )
    a, b = flatten(run.network), flatten(other.network).to(run.device)
    work = Work(run, store.run_dir(first.id) / "landscape", view, [a, b])
    alphas = torch.arange(-view.points, 3 * view.points + 1).double() / (2 * view.points)
    found = work.grid(f"interpolation-{second.id}", a, (b - a)[None], [alphas])
    work.ticker.close()
    result = {"run": first.id, "other": second.id, **asdict(view), "samples": work.samples, "beside": work.beside()}
    return {**result, "interpolation": found, "distance": float((b - a).norm())}


def metric_beside(run: Reloaded) -> str:
    """The metric that is shown beside the loss: the monitored one where the task measures it itself, else its first."""
    task = run.setting.task
    measured = task.evaluation_metrics(torch.zeros(task.evaluation_size))
    names = (kind(run.configured.evaluation.monitor), *run.configured.task.metrics)
    return next((each for each in names if each != "loss" and each in measured), "loss")


class Work:
    """Evaluates a reloaded run at other weights, and keeps what is done."""

    def __init__(self, run: Reloaded, folder: Path, view: View, weights: list[Tensor]):
        self.run = run
        self.path = folder / "state.pt"
        part: TensorSet | LazySet = getattr(run.data.splits, view.split)
        self.samples = len(part) if view.samples is None else min(view.samples, len(part))
        self.size = run.configured.evaluation.batch_size
        x, y = part.gather((torch.arange(self.samples) * len(part) // self.samples).to(part.y.device))
        self.x, self.y = x.to(run.device), y.to(run.device)
        self.training = [x for x, _ in islice(run.data.evaluation_batches("train", self.size), STATISTICS_BATCHES)]
        self.recompute = view.statistics == "recomputed"
        if self.recompute and (unknown := unknown_statistics(run.network)):
            raise UserError(
                "a landscape computes the statistics of norms anew at every point, and Paribus can't compute those of "
                f"{', '.join(unknown[:3])}. Use --statistics moving, those of the run's end"
            )
        digest = hashlib.sha256()
        for each in weights:
            digest.update(each.float().cpu().numpy().tobytes())
        self.metric = metric_beside(run)
        self.settings = {**asdict(view), "metric": self.metric, "weights": digest.hexdigest()[:16]}
        self.stages: dict[str, Any] = load_stages(self.path, self.settings)
        self.ticker = Ticker()

    def grid(self, name: str, origin: Tensor, directions: Tensor, axes: list[Tensor]) -> dict[str, Any]:
        """axes, loss and the metric beside it over a grid, nested lists; not a number where the loss is none."""
        shape = (*(len(axis) for axis in axes), 2)
        values = self.stages.setdefault(name, torch.full(shape, float("nan"), dtype=torch.float64))
        saved = time.monotonic()

        def on_point(done: int, total: int) -> None:
            nonlocal saved
            self.ticker(name, done, total)
            if done == total or time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()

        own = flatten(self.run.network)
        try:
            evaluate_grid(self.at, origin, directions, axes, values, on_point)
        finally:
            unflatten_into(self.run.network, own)
        return {
            "axes": [axis.tolist() for axis in axes],
            "loss": values[..., 0].tolist(),
            "metric": values[..., 1].tolist(),
        }

    def at(self, theta: Tensor) -> tuple[float, float]:
        """Loss and the metric beside it of the network with these weights (n,)."""
        network = self.run.network
        unflatten_into(network, theta)
        statistics: Any = recomputed_statistics(network, self.training) if self.recompute else nullcontext()
        batches = zip(self.x.split(self.size), self.y.split(self.size), strict=True)
        with self.run.precision.val_step_context(), statistics:
            found = evaluate(network, self.run.setting.task, batches, device=self.run.device)
        return found["loss"], found[self.metric]

    def beside(self) -> dict[str, Any]:
        """How the metric beside the loss is shown: its name, and whether it is a fraction that is shown in percent."""
        key = self.run.configured.declared.key(f"{self.settings['split']}/{self.metric}")
        return {"title": title(key), "name": name(key), "percent": key.metric.is_percent}

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"settings": self.settings, "stages": self.stages}
        write_file_atomically(self.path, lambda path: torch.save(content, path))


def read_snapshots(folder: Path, size: int) -> tuple[list[int], Tensor] | None:
    """Steps and weights (k, n) that callbacks=[default,snapshots] has saved, in order; None where there are none."""
    paths = sorted(folder.glob("*.pt"))
    if not paths:
        return None
    try:
        contents = [archive.read(path) for path in paths]
        weights = torch.stack([content["weights"] for content in contents])
    except Exception as error:  # zip, pickle and key errors, or snapshots of different sizes
        raise UserError(f"a snapshot in {folder} can't be read: {error}. Remove the folder, or train again") from error
    if weights.shape[1] != size:
        raise UserError(f"the snapshots in {folder} are of another network. Remove the folder, or train again")
    return [content["step"] for content in contents], weights

r"""The analysis of a point: minimum or saddle? In order: refine, reject, spectrum, count, judge, confirm."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paribus.extras.curvature.density import Density, spectral_density
from paribus.extras.curvature.eigen import End, extreme, noise_floor, random_unit
from paribus.extras.curvature.escape import Confirmation, confirm
from paribus.extras.curvature.objective import Objective
from paribus.extras.curvature.refine import Refined, refine
from paribus.extras.curvature.space import Space, flatness
from paribus.extras.curvature.verdict import Counts, Verdict, count, judge, tolerance

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Effort:
    """What an analysis may cost, in Hessian-vector products.

    refine_steps, refine_products: Newton steps at most, and products for each.
    downhill: where no critical point is near, go down to one, which is then a minimum; see `refine`.
    dense_up_to: number of parameters up to which the whole Hessian is built.
    end_products: for each end of the spectrum, where it is not.
    probes, lanczos_steps: of the spectral density; probes=0 for none.
    """

    refine_steps: int = 200
    refine_products: int = 100
    dense_up_to: int = 3000
    end_products: int = 200
    probes: int = 10
    lanczos_steps: int = 40
    downhill: bool = True


@dataclass(frozen=True)
class _Work:
    """What every part of an analysis needs."""

    objective: Objective
    effort: Effort
    seed: int
    stages: MutableMapping[str, Any]
    save: Callable[[], None]
    on_progress: OnProgress


@dataclass(frozen=True)
class Analysis:
    """What was found at the refined point.

    eigenvalues: all of them in rising order (n,), None where the Hessian was not built; counts likewise.
    density: the stochastic estimate, None where it was not wanted or the eigenvalues are known.
    direction: the eigenvector of the smallest eigenvalue (n,).
    """

    refined: Refined
    flatness: float
    top: End
    bottom: End
    zero: float
    eigenvalues: np.ndarray | None
    density: Density | None
    verdict: Verdict
    reason: str
    confirmation: Confirmation | None
    products: int

    @property
    def direction(self) -> Tensor:
        return self.bottom.vector

    @property
    def counts(self) -> Counts | None:
        return None if self.eigenvalues is None else count(self.eigenvalues, self.zero)

    def shares(self) -> dict[str, tuple[float, float, float]]:
        """index and minimum_ratio, each as a lower and an upper bound with their standard error; {} if unknown.

        The bounds are equal and without error where eigenvalues were counted.
        """
        if (counts := self.counts) is not None:
            return {
                "index": (counts.index, counts.index, 0.0),
                "minimum_ratio": (counts.minimum_ratio, counts.minimum_ratio, 0.0),
            }
        if self.density is None:
            return {}
        low, high, error = self.density.below(self.zero)
        return {"index": self.density.below(-self.zero), "minimum_ratio": (1.0 - high, 1.0 - low, error)}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        refined, counts = self.refined, self.counts
        return {
            "parameters": len(refined.theta),
            "verdict": self.verdict,
            "reason": self.reason,
            "loss": refined.loss,
            "gradient_norm_start": refined.gradient_norms[0],
            "gradient_norm": refined.gradient_norm,
            "refine_steps": refined.steps,
            "refine_reason": refined.reason,
            "route": refined.route,
            "theta_norm": float(refined.theta.norm()),
            "flatness": self.flatness,
            "top": self.top.as_dict(),
            "bottom": self.bottom.as_dict(),
            "zero": self.zero,
            "method": "dense" if counts else "lanczos",
            "counts": None if counts is None else vars(counts),
            "shares": {
                name: {"low": low, "high": high, "standard_error": error}
                for name, (low, high, error) in self.shares().items()
            },
            "confirmation": None if self.confirmation is None else self.confirmation.as_dict(),
            "products": self.products,
            "eigenvalues": None if self.eigenvalues is None else self.eigenvalues.tolist(),
            "density": None
            if self.density is None
            else {
                "nodes": np.where(self.density.weights > 0, self.density.nodes, 0.0).tolist(),
                "weights": self.density.weights.tolist(),
            },
        }


def analyse(
    objective: Objective,
    theta: Tensor,
    effort: Effort,
    *,
    seed: int = 0,
    stages: MutableMapping[str, Any] | None = None,
    save: Callable[[], None] = lambda: None,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Analysis:
    """The analysis of the critical point next to theta (n,), float64.

    seed: of the random vectors that Krylov spaces begin with.
    stages: what an interrupted call with the same arguments knows, or one with fewer refine_steps; filled as the
        analysis goes on, tensors and plain values only. `save` is called whenever something was added.
    """
    stages = {} if stages is None else stages
    earlier, before = stages.get("products", 0), objective.products

    def keep() -> None:
        stages["products"] = earlier + objective.products - before
        save()

    if "loss" not in stages:
        stages["loss"] = objective.value(theta)
    work = _Work(objective, effort, seed, stages, keep, on_progress)
    refined = _refined(work, theta)
    theta = refined.theta
    n = len(theta)

    def product(v: Tensor) -> Tensor:
        return objective.product(theta, v)

    if n <= effort.dense_up_to:
        top, bottom, eigenvalues, noise = _dense(work, refined)
        density = None
    else:
        top, bottom, noise = _ends(work, product, theta)
        eigenvalues = None
        density = _density(work, product, theta)
    norm = max(abs(top.value), abs(bottom.value))
    zero = tolerance(n, norm, noise)
    if "flatness" not in stages:
        step = stages["hessian"]["step"] if "hessian" in stages else None
        if step is None:
            step = _least_residual(work, refined)
        stages["flatness"] = flatness(product(step), step, refined.gradient, norm)
        keep()
    flat = stages["flatness"]
    verdict, reason = judge(
        gradient_norm=refined.gradient_norm,
        theta_norm=float(theta.norm()),
        flatness=flat,
        top=top.value,
        bottom=bottom.value,
        bottom_error=bottom.error,
        zero=zero,
    )
    if verdict in ("not critical", "gradient-flat"):
        reason += f"; the refinement ended because {refined.reason}"
    if verdict == "minimum-like" and eigenvalues is not None and (flat_directions := count(eigenvalues, zero).zero):
        reason += f"; {flat_directions} are zero, so higher orders decide"
    if verdict == "minimum-like" and refined.route == "downhill":
        reason += "; it was reached downhill, which only leads to minima"
    confirmation = None
    if verdict == "strict saddle":
        confirmation = confirm(objective, theta, refined.gradient, bottom.vector, bottom.value)
    spent = stages["products"]
    return Analysis(refined, flat, top, bottom, zero, eigenvalues, density, verdict, reason, confirmation, spent)


def _refined(work: _Work, theta: Tensor) -> Refined:
    effort, stages = work.effort, work.stages
    known = stages.get("refine")

    def keep(state: Refined) -> None:
        if known is not None and not torch.equal(known["theta"], state.theta):
            for name in ("hessian", "noise", "top", "bottom", "density", "flatness"):
                stages.pop(name, None)  # they were of another point
        stages["refine"] = state.as_stage()
        work.save()

    def on_step(state: Refined) -> None:
        keep(state)
        work.on_progress(f"refining, ‖g‖ = {state.gradient_norm:.2e}", state.steps, effort.refine_steps)

    refined = refine(
        work.objective,
        theta,
        steps=effort.refine_steps,
        inner=effort.refine_products,
        whole=effort.dense_up_to,
        downhill=effort.downhill,
        known=known,
        on_step=on_step,
    )
    keep(refined)
    return refined


def _dense(work: _Work, refined: Refined) -> tuple[End, End, np.ndarray, float]:
    """Both ends, all eigenvalues, and the noise of the Hessian; the Newton step of least residual is kept."""
    objective, stages, theta = work.objective, work.stages, refined.theta
    n = len(theta)
    if "hessian" not in stages:
        objective.on_rows = lambda done: work.on_progress("building the Hessian", done, n)
        hessian = objective.hessian(theta)
        symmetric = (hessian + hessian.T) / 2
        noise = float(torch.linalg.matrix_norm(hessian - symmetric, 2)) if n > 1 else 0.0
        values, vectors = torch.linalg.eigh(symmetric)
        keep = values.abs() > max(tolerance(n, float(values.abs().max()), noise), 1e-300)
        inverse = torch.where(keep, 1.0 / torch.where(keep, values, 1.0), 0.0)
        step = -vectors @ (inverse * (vectors.T @ refined.gradient))
        stages["hessian"] = {"values": values, "ends": vectors[:, [0, -1]].clone(), "step": step, "noise": noise}
        work.save()
    found = stages["hessian"]
    values, ends = found["values"], found["ends"]
    error = tolerance(n, float(values.abs().max()), found["noise"])
    bottom, top = (End(float(values[k]), ends[:, k], 0.0, error, n, True) for k in (0, -1))
    return top, bottom, values.cpu().numpy(), found["noise"]


def _least_residual(work: _Work, refined: Refined) -> Tensor:
    if refined.gradient_norm == 0.0:
        return torch.zeros_like(refined.theta)
    return Space(work.objective, refined.theta, refined.gradient, work.effort.refine_products).step(0.0)


def _ends(work: _Work, product: Callable[[Tensor], Tensor], theta: Tensor) -> tuple[End, End, float]:
    effort, stages = work.effort, work.stages
    generator = torch.Generator().manual_seed(work.seed)
    start = random_unit(len(theta), generator).to(theta)
    if "noise" not in stages:
        stages["noise"] = noise_floor(lambda v: product(v.to(theta)).cpu().double(), len(theta), generator)
    found: dict[str, End] = {}
    for end in ("top", "bottom"):
        if end not in stages:
            done = 0

            def counted(v: Tensor, end: str = end) -> Tensor:
                nonlocal done
                done += 1
                work.on_progress(f"{end} eigenvalue", done, effort.end_products)
                return product(v)

            reference = abs(found["top"].value) if found else None
            result = extreme(counted, start, end, products=effort.end_products, reference=reference)
            stages[end] = vars(result)
            work.save()
        found[end] = End(**stages[end])
    return found["top"], found["bottom"], stages["noise"]


def _density(work: _Work, product: Callable[[Tensor], Tensor], theta: Tensor) -> Density | None:
    effort, stages = work.effort, work.stages
    if effort.probes == 0:
        return None
    if "density" not in stages:
        found = spectral_density(
            lambda v: product(v.to(theta)).to(v),
            len(theta),
            probes=effort.probes,
            steps=effort.lanczos_steps,
            generator=torch.Generator().manual_seed(work.seed + 1),
            on_probe=lambda done: work.on_progress("spectral density", done, effort.probes),
        )
        stages["density"] = {"nodes": torch.from_numpy(found.nodes), "weights": torch.from_numpy(found.weights)}
        work.save()
    return Density(stages["density"]["nodes"].numpy(), stages["density"]["weights"].numpy())

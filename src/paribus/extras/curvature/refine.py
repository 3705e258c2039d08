r"""The search for a critical point: from a point near one to itself, of whatever kind; else down to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from paribus.extras.curvature.objective import Objective
from paribus.extras.curvature.space import EPS, Space

FAR = 1e3  # times max(1, ||theta|| at the start): a descent that comes so far has no end
AT_INFINITY = (
    "the loss tends to zero while θ grows: its infimum lies at infinity. --decay adds the weight decay, with which "
    "it has a critical point"
)
Route = Literal["nearest", "downhill"]


@dataclass
class Refined:
    """Where the refinement stands.

    gradient_norms: ||g|| at the start and after every step of both routes; a route begins at the start again.
    reason: why it ended; finished: for another reason than that its steps were spent.
    damping: mu of the last step of the first route. radius: of the second. norm: a lower bound of ||H|| there.
    start_loss, start_norm: f and ||theta|| at the start.
    fell, moved: what the last step of a descent did to f and to theta.
    nearest, why: where the first route ended (n,), None while it is under way, and why.
    """

    theta: Tensor
    loss: float
    gradient: Tensor
    gradient_norms: list[float]
    reason: str = "no step was wanted"
    finished: bool = False
    route: Route = "nearest"
    damping: float = 0.0
    radius: float = 0.0
    norm: float = 0.0
    start_loss: float = 0.0
    start_norm: float = 0.0
    fell: float = 0.0
    moved: float = 0.0
    nearest: Tensor | None = None
    why: str = ""

    @property
    def steps(self) -> int:
        return len(self.gradient_norms) - 1

    @property
    def gradient_norm(self) -> float:
        return float(self.gradient.norm())

    def vanishing(self, least: float = 1e-4) -> bool:
        """As the cross-entropy of separable data: f tends to zero, and the gradient in proportion to its derivative.

        least: of `relative`. A descent to a minimum where f is zero passes smaller ones on its way.
        """
        length = float(self.theta.norm())
        return 0.0 <= self.loss < 1e-12 * self.start_loss and length > self.start_norm and self.relative > least

    @property
    def relative(self) -> float:
        """||g|| / (||H|| max(1, ||theta||)), see `judge`; inf where H is not known."""
        scale = self.norm * max(1.0, float(self.theta.norm()))
        return self.gradient_norm / scale if scale > 0 else np.inf

    def move(self, theta: Tensor, loss: float, gradient: Tensor) -> None:
        self.fell, self.moved = self.loss - loss, float((theta - self.theta).norm())
        self.theta, self.loss, self.gradient = theta, loss, gradient

    def as_stage(self) -> dict[str, Any]:
        """All that `refine` needs to go on: tensors and plain values."""
        return {**asdict(self), "gradient_norms": list(self.gradient_norms)}


def refine(
    objective: Objective,
    start: Tensor,
    *,
    steps: int = 100,
    inner: int = 100,
    whole: int = 0,
    downhill: bool = True,
    known: Mapping[str, Any] | None = None,
    on_step: Callable[[Refined], None] = lambda refined: None,
) -> Refined:
    r"""The critical point next to `start`, by two routes.

    nearest   minimises $\frac12 \|g(\theta)\|^2$, whose gradient is H g, by Levenberg and Marquardt's method on g. It
              goes to minima, saddles and maxima alike, and arrives in a few steps from points near one. Farther away it
              creeps: valleys of ||g|| are narrow, and many end in gradient-flat points.
    downhill  where that does not arrive, goes down from `start` again, as training would, by Newton's method within a
              trust region. It makes use of negative curvature and so ends at minima: that a point reached this way is
              one says nothing about how common saddles are.

    start: (n,), float64. steps: at most, of both. inner: products for each at most (see Space); as many vectors lie in
        memory. whole: the largest n for which the whole Hessian is built where the end is near, as Newton's method then
        needs few steps.
    downhill: False for the first route alone, which prefers no kind of critical point.
    known: `as_stage` of an earlier call with fewer steps, or an interrupted one.

    The first route ends at the rounding error of the gradient, where no step lowers its norm any more, and where it
    creeps: five steps that together gain less than a factor of two (ten that gain less than 1 %, if it is the only
    one). Of two routes without success the point with the lower gradient norm is handed back.

    Source: Levenberg 1944; Marquardt 1963; Frye et al. 2021, arXiv:2003.10397; Conn, Gould & Toint 2000, chapters 6, 7.
    """
    if known is None:
        loss, gradient = objective.gradient(start)
        state = Refined(start.detach().clone(), loss, gradient, [float(gradient.norm())])
        state.start_loss, state.start_norm = loss, float(start.norm())
    else:
        state = Refined(**{**known, "gradient_norms": list(known["gradient_norms"])})
    if state.finished or steps <= state.steps:
        return state

    def space() -> Space:
        found = Space(objective, state.theta, state.gradient, max(inner, whole if state.relative < 1e-6 else 0))
        state.norm = found.norm
        return found

    def ended(reason: str) -> Refined:
        state.reason, state.finished = reason, True
        return state

    for _ in range(state.steps, steps):
        if state.gradient_norm == 0.0:
            return ended("the gradient is zero")
        around = space()
        if state.relative <= EPS:
            return ended("the gradient is zero up to rounding")
        if state.vanishing():
            return ended(AT_INFINITY)
        if state.route == "nearest":
            reason = _approach(objective, state, around, 5 if downhill else 10, 0.5 if downhill else 0.99)
            if reason is not None and (not downhill or state.relative < 1e-10):
                return ended(reason)
            if reason is not None:
                state.nearest, state.why, state.route = state.theta, reason, "downhill"
                state.theta, state.radius, state.norm = start.detach().clone(), 0.1 * max(1.0, state.start_norm), 0.0
                state.loss, state.gradient = objective.gradient(state.theta)
                around = space()
        if state.route == "downhill" and (reason := _descend(objective, state, around)) is not None:
            return ended(AT_INFINITY if state.vanishing(1e-6) else _better(objective, state, reason))
        state.gradient_norms.append(state.gradient_norm)
        on_step(state)
    state.reason = (
        f"{steps} steps are used up (a larger --refine continues from here)" if steps > 1 else "one step is spent"
    )
    if state.route == "downhill":
        length = float(state.theta.norm())
        state.reason += (
            f"; the last lowered the loss by {state.fell:.2g} and moved θ by {state.moved:.2g} of {length:.3g}"
        )
    return state


def _approach(objective: Objective, state: Refined, space: Space, patience: int, gain: float) -> str | None:
    """A step of the first route; why there is none, if so."""
    if space.norm == 0.0:
        return "the gradient lies in the null space of the Hessian"
    recent = state.gradient_norms[-patience - 1 :]
    if len(recent) > patience and recent[-1] > gain * recent[0]:
        return f"{patience} steps lowered the gradient norm by less than {100 * (1 - gain):.0f} %"
    best = _search(objective, state, space)
    if best is None:
        return "no step lowers the gradient norm any more" + _kink(objective, state, 1e-6 * space.step(0.0))
    state.damping, theta, loss, gradient = best
    state.move(theta, loss, gradient)
    return None


def _search(objective: Objective, state: Refined, space: Space) -> tuple[float, Tensor, float, Tensor] | None:
    """(damping, theta, f, g) of the best step: from the last damping down while that helps, and up until it does."""
    least = (1e-10 * space.norm) ** 2
    goal = state.gradient_norm * (1 - 1e-10)

    def tried(damping: float) -> tuple[float, float, Tensor, float, Tensor]:
        theta = state.theta + space.step(damping)
        loss, gradient = objective.gradient(theta)
        norm = float(gradient.norm())
        return norm if np.isfinite(norm) else np.inf, damping, theta, loss, gradient

    best = tried(state.damping)
    if best[0] < goal:
        while best[1] > least and (lower := tried(best[1] / 10 if best[1] > 10 * least else 0.0))[0] < best[0]:
            best = lower
        return best[1:]
    damping = max(state.damping, least)
    while damping < 1e8 * space.norm**2:
        damping *= 10
        higher = tried(damping)
        if higher[0] < best[0]:
            best = higher
        elif best[0] < goal:
            return best[1:]
    return None


def _descend(objective: Objective, state: Refined, space: Space) -> str | None:
    """A step of the second route; why it ends, if so."""
    while True:
        p, predicted, edge = space.lowest(state.radius)
        theta = state.theta + p
        loss, gradient = objective.gradient(theta)
        if predicted > 1e-11 * abs(state.loss):
            ratio = (state.loss - loss) / predicted if np.isfinite(loss) else -1.0
        else:  # too little to be seen in f: the gradient still tells
            ratio = 1.0 if float(gradient.norm()) < state.gradient_norm else -1.0
        if ratio < 0.25:
            state.radius = float(p.norm()) / 4
        elif ratio > 0.75 and edge:
            state.radius *= 2.5
        share = float(p.norm()) / max(1.0, float(state.theta.norm()))
        if ratio < 0.25 and share < 1e-4 and state.relative > 1e-6 and (kink := _kink(objective, state, p)):
            return f"steps have shrunk to {share:.1g} of θ" + kink
        if ratio > 1e-4:
            break
        if share < 1e-12:
            return "no step lowers the loss any more"
    state.move(theta, loss, gradient)
    length = float(theta.norm())
    if length > FAR * max(1.0, state.start_norm):
        return (
            f"‖θ‖ grew from {state.start_norm:.3g} to {length:.3g} and the loss still falls: "
            "there is no minimum within reach"
        )
    return None


def _better(objective: Objective, state: Refined, reason: str) -> str:
    """Go back to where the first route ended, if that is better than where the second has; the reason for both."""
    assert state.nearest is not None
    reason = f"near the start {state.why}; downhill {reason}"
    loss, gradient = objective.gradient(state.nearest)
    if state.relative > 1e-6 and float(gradient.norm()) <= state.gradient_norm:
        state.move(state.nearest, loss, gradient)
        state.route = "nearest"
    return reason


def _kink(objective: Objective, state: Refined, p: Tensor) -> str:
    """Says so where the gradient jumps: a short step p away it is not what the Hessian predicts."""
    theta = state.theta + p
    _, beside = objective.gradient(theta)
    predicted = objective.product(state.theta, theta - state.theta)
    defect = float((beside - state.gradient - predicted).norm())
    rounding = 1e4 * EPS * max(state.gradient_norms[0], state.norm * float(theta.norm()))
    if defect <= 0.1 * float(predicted.norm()) + rounding:
        return ""
    return (
        ": the gradient jumps near this point (a kink, as relu has), so no smooth critical point is within reach; "
        "smooth activations such as tanh and gelu have no kinks"
    )

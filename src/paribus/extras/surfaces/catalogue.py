r"""Error surfaces with known minima, saddles and curvatures.

A surface maps $\theta$ (d,) to a scalar. It knows a start, the window (low, high) of its first two coordinates for
figures, and its lowest value. Gradients may carry normal noise of standard deviation `noise` in every coordinate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Window = tuple[tuple[float, float], ...]


@dataclass(kw_only=True)
class Surface:
    """The base of all.

    start: where a descent begins; null for the surface's own.
    noise: standard deviation of the noise on each coordinate of the gradient.
    """

    start: Sequence[float] | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.start is not None and len(self.start) != len(self.origin()):
            raise ValueError(
                f"a start on this surface has {len(self.origin())} coordinates, got {list(self.start)}. "
                f"Write surface.start={str(list(self.origin())).replace(' ', '')}, say"
            )
        if self.noise < 0:
            raise ValueError(f"noise is a standard deviation, at least 0, got {self.noise}")

    def __call__(self, theta: Tensor) -> Tensor:
        raise NotImplementedError

    def origin(self) -> tuple[float, ...]:
        """The start where none is given."""
        raise NotImplementedError

    def window(self) -> Window:
        raise NotImplementedError

    @property
    def lowest(self) -> float | None:
        """The lowest value; None where there is none."""
        return 0.0

    def point(self) -> Tensor:
        """The start as a tensor (d,), float64."""
        return torch.tensor(self.origin() if self.start is None else list(self.start), dtype=torch.float64)


@dataclass
class Valley(Surface):
    r"""$\frac{h}{2} (x^2 + y^2 / \kappa)$: steep across, flat along.

    curvature: h, of x. condition: $\kappa$, the ratio of the curvatures; h = 100 with 1e4 is diag(100, 0.01).
    Gradient descent goes down for rates below 2 / h, and swings from wall to wall above 1 / h.
    """

    curvature: float = 1.0
    condition: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curvature <= 0 or self.condition < 1:
            raise ValueError(
                f"a valley has a curvature above 0 and a condition of at least 1, got {self.curvature} and "
                f"{self.condition}"
            )

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = 0.5 * self.curvature * (x.square() + y.square() / self.condition)
        return result

    def origin(self) -> tuple[float, ...]:
        return (0.8, 4.0)

    def window(self) -> Window:
        return ((-1.2, 1.2), (-5.0, 5.0))


@dataclass
class TwoWalls(Surface):
    r"""$w\,(\sqrt{x^2 + \delta^2} - \delta) + \frac{s}{2} y^2$: the lecture notes' picture, a valley between two walls.

    Away from its floor a wall has the slope w, whatever the distance, so a rate that is too large neither diverges nor
    goes down: x swings between +-lr w / 2 for ever, and the loss stops falling far above its minimum.

    wall: w. sharpness of the floor: w / delta. slope: s, along the floor.
    """

    wall: float = 4.0
    delta: float = 0.05
    slope: float = 0.05

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = self.wall * ((x.square() + self.delta**2).sqrt() - self.delta) + 0.5 * self.slope * y.square()
        return result

    def origin(self) -> tuple[float, ...]:
        return (0.7, -4.0)

    def window(self) -> Window:
        return ((-1.2, 1.2), (-5.0, 2.0))


@dataclass
class Quadratic(Surface):
    r"""$\frac{h}{2} \|\theta\|^2$ in `dim` coordinates, each with gradient noise: as many independent copies.

    Gradient descent settles at the expected loss $\eta s^2 / (2 (2 - \eta h))$ per coordinate, s = noise.
    """

    curvature: float = 1.0
    dim: int = 2
    noise: float = 1.0

    def __call__(self, theta: Tensor) -> Tensor:
        return 0.5 * self.curvature * theta.square().sum()

    def origin(self) -> tuple[float, ...]:
        return (2.0,) * self.dim

    def window(self) -> Window:
        return ((-3.0, 3.0),) * min(self.dim, 2)


@dataclass
class Saddle(Surface):
    r"""$\frac12 (x^2 - y^2) + \frac14 y^4$: a strict saddle at the origin, minima of -1/4 at (0, +-1)."""

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = 0.5 * (x.square() - y.square()) + 0.25 * y.pow(4)
        return result

    def origin(self) -> tuple[float, ...]:
        return (1.2, 1e-3)

    def window(self) -> Window:
        return ((-1.5, 1.5), (-1.6, 1.6))

    @property
    def lowest(self) -> float:
        return -0.25


@dataclass
class MonkeySaddle(Surface):
    r"""$x^3 - 3 x y^2$: three ways down and three up, and no curvature at the origin. Not bounded below."""

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = x.pow(3) - 3.0 * x * y.square()
        return result

    def origin(self) -> tuple[float, ...]:
        return (1.0, 1e-3)

    def window(self) -> Window:
        return ((-1.5, 1.5), (-1.5, 1.5))

    @property
    def lowest(self) -> None:
        return None


@dataclass
class TwoFactors(Surface):
    r"""$(1 - w_1 w_2)^2$, the smallest linear network: a saddle with eigenvalues +-2 at the origin, minima along
    $w_1 w_2 = 1$ with {0, 4} at (1, 1).

    From $(\epsilon, \epsilon)$ gradient descent comes r away from the origin after
    $\ln(r / (\epsilon \sqrt 2)) / \ln(1 + 2 \eta)$ steps; from (a, -a) it goes to the saddle.
    """

    def __call__(self, theta: Tensor) -> Tensor:
        return (1.0 - theta.prod()).square()

    def origin(self) -> tuple[float, ...]:
        return (1e-3, 1e-3)

    def window(self) -> Window:
        return ((-2.0, 2.0), (-2.0, 2.0))


@dataclass
class ThreeFactors(TwoFactors):
    r"""$(1 - w_1 w_2 w_3)^2$: at the origin gradient and Hessian are zero, a saddle that is not strict."""

    def origin(self) -> tuple[float, ...]:
        return (0.1, 0.1, 0.1)


@dataclass
class Beale(Surface):
    r"""$(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2$; its minimum is 0 at (3, 0.5).

    Source: Beale 1958.
    """

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = (
            (1.5 - x + x * y).square() + (2.25 - x + x * y.square()).square() + (2.625 - x + x * y.pow(3)).square()
        )
        return result

    def origin(self) -> tuple[float, ...]:
        return (1.0, 1.5)

    def window(self) -> Window:
        return ((-0.5, 4.5), (-1.5, 2.0))


@dataclass
class Rosenbrock(Surface):
    r"""$(1 - x)^2 + b (y - x^2)^2$: a bent valley; its minimum is 0 at (1, 1).

    bend: b. Source: Rosenbrock 1960, doi:10.1093/comjnl/3.3.175.
    """

    bend: float = 100.0

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = theta
        result: Tensor = (1.0 - x).square() + self.bend * (y - x.square()).square()
        return result

    def origin(self) -> tuple[float, ...]:
        return (-1.5, 1.5)

    def window(self) -> Window:
        return ((-2.0, 2.0), (-0.8, 3.0))


@dataclass
class ManyMinima(Surface):
    r"""$a x^2 - b \cos(c x)$ of one variable: a parabola with a minimum in every wave; the lowest, -b, at 0.

    Does momentum help to leave the poor ones?
    """

    parabola: float = 0.05
    wave: float = 0.6
    frequency: float = 2.0

    def __call__(self, theta: Tensor) -> Tensor:
        (x,) = theta
        result: Tensor = self.parabola * x.square() - self.wave * torch.cos(self.frequency * x)
        return result

    def origin(self) -> tuple[float, ...]:
        return (7.0,)

    def window(self) -> Window:
        return ((-8.0, 8.0),)

    @property
    def lowest(self) -> float:
        return -self.wave

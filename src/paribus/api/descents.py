"""Descents on error surfaces from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paribus.api.words import own_hydra, words
from paribus.base.extras import needed_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paribus.extras.surfaces.drawn import Drawn, Path


@dataclass(frozen=True)
class Descents:
    """Descents on one surface.

    surface: as it is drawn. paths: points (steps + 1, dim) and losses (steps + 1) of each.
    tolerance: above the lowest value, where a descent has arrived.
    """

    name: str
    surface: Drawn
    paths: Sequence[Path]
    tolerance: float

    def figure(self) -> Figure:
        """The surface with all trajectories, and what is left of the loss over steps."""
        from paribus.extras.surfaces.report import figure

        return figure(self.surface, self.paths)

    def __str__(self) -> str:
        from paribus.extras.surfaces.report import table

        return table(self.surface, self.paths, self.tolerance)

    __repr__ = __str__


def surface(*overrides: str, multirun: bool = False, **settings: Any) -> list[Descents]:
    """Descend on error surfaces, as `paribus surface`: surface("surface=valley", "optimizer=sgd,adam", multirun=True).

    multirun: every combination of the values given. One entry for each surface.

    Raises UserError for a command line that can't be composed, several values without multirun, and where the extra
    surfaces was deleted.
    """
    with needed_by("paribus.surface"):
        from paribus.extras.surfaces.run import descents

    with own_hydra():
        return [Descents(*each) for each in descents(words(overrides, settings), multirun)]

"""The values of a surface over its window."""

from __future__ import annotations

import numpy as np
import torch

from paribus.extras.surfaces.catalogue import Surface
from paribus.extras.surfaces.drawn import Drawn


def draw(name: str, ground: Surface, points: int = 161) -> Drawn:
    """The surface over its window, as arrays."""
    axes = [torch.linspace(low, high, points, dtype=torch.float64) for low, high in ground.window()]
    if len(axes) == 1:
        values = [float(ground(x[None])) for x in axes[0]]
        return Drawn(name, axes[0].numpy(), None, np.array(values), ground.lowest)
    grid = None
    if len(ground.point()) == 2:
        x, y = torch.meshgrid(axes[0], axes[1], indexing="xy")
        grid = torch.vmap(ground)(torch.stack([x.flatten(), y.flatten()], 1)).view(x.shape).numpy()
    return Drawn(name, axes[0].numpy(), axes[1].numpy(), grid, ground.lowest)

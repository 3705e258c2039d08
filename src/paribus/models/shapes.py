"""The shape of the samples that a network takes."""

from __future__ import annotations

from collections.abc import Sequence


def image(network: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape (C, H, W) of an image. Raises ValueError for that of anything else."""
    if len(shape) != 3:
        raise ValueError(
            f"{network} takes images of shape (channels, height, width), and the samples of this data set have the "
            f"shape {tuple(shape)}. Use model=mlp or model=linear"
        )
    return shape[0], shape[1], shape[2]

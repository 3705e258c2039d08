r"""The expected calibration error, from sums that add up.

$\sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|$ over 15 bins of equal width in the confidence of the predicted
class. Source: Guo et al. 2017, arXiv:1706.04599.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 15
size = 1 + 3 * BINS  # samples; then for each bin: samples, correct predictions, confidence


def calibration_sums(confidence: Tensor, correct: Tensor, replicas: int) -> Tensor:
    """(R, size), from the confidences (R * N,) of R networks, and whether their predictions are correct, as 0 and 1."""
    samples = len(confidence) // replicas
    # Bins are open on the left, (0, 1/15], ...; not a number counts in the last one.
    bin = (confidence * BINS).ceil().sub(1).nan_to_num(BINS - 1).clamp(0, BINS - 1).long()
    bin += BINS * torch.arange(replicas, device=bin.device).repeat_interleave(samples)
    sums = torch.stack([torch.ones_like(correct), correct, confidence])
    binned = torch.zeros(3, replicas * BINS, dtype=correct.dtype, device=bin.device).index_add_(1, bin, sums)
    number = torch.full((replicas, 1), samples, dtype=correct.dtype, device=bin.device)
    return torch.cat([number, binned.view(3, replicas, BINS).movedim(0, 1).flatten(1)], 1)


def calibration_error(sums: Tensor) -> float:
    """From the sums (size,) of one network; nan without samples."""
    samples = float(sums[0])
    _, correct, confidence = sums[1:].view(3, BINS)
    return float((correct - confidence).abs().sum()) / samples if samples else math.nan

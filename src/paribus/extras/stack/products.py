"""Batched products of float32 numbers on a CPU: by oneDNN, where nothing is rounded for it.

torch gives them to MKL, which on AMD's processors reaches half of what oneDNN does (Zen 5: 95 of 200 GFLOP/s), and
turns to oneDNN only where the products may be rounded to bfloat16 (torch.backends.mkldnn.matmul.fp32_precision). oneDNN
uses that permission with AMX alone; without AMX it computes in float32 like MKL. So the permission is given where a
test shows that it is not used.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from paribus.base.torch_internals import has_amx

_AS_EVER = nullcontext()
_PERMISSION: Any = getattr(torch.backends.mkldnn, "matmul", None)  # before torch 2.9 there is none


def fast_products() -> AbstractContextManager[None]:
    """Let torch choose oneDNN for batched products, as long as they stay products of float32."""
    return _allowed() if _stays_exact() else _AS_EVER


@contextmanager
def _allowed() -> Iterator[None]:
    before = _PERMISSION.fp32_precision
    _PERMISSION.fp32_precision = "bf16"
    try:
        yield
    finally:
        _PERMISSION.fp32_precision = before


@functools.cache
def _stays_exact() -> bool:
    """Whether the permission to round leaves products as they are.

    Whole numbers below 2^9 take 9 bits: float32 holds their products, and sums of 64 of them, exactly and in any order;
    bfloat16, of 8 bits, rounds a quarter of them.
    """
    if _PERMISSION is None or not torch.backends.mkl.is_available() or has_amx():
        return False  # without MKL, as on ARM, torch takes oneDNN's or its own products anyway
    generator = torch.Generator().manual_seed(0)

    def whole(*shape: int) -> Tensor:
        return torch.randint(-511, 512, shape, generator=generator).float()

    with _allowed():
        for rows, columns in ((8, 10), (32, 128), (64, 16), (256, 64)):
            a, b = whole(4, rows, 64), whole(4, columns, 64)
            for left, right in ((a, b.mT), (a.mT.contiguous().mT, b.mT), (a, b.mT.contiguous())):
                if not torch.equal(torch.bmm(left, right).double(), left.double() @ right.double()):
                    return False
    return True

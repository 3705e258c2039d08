"""Norms in half precision: statistics as in float32, whatever the size of the values, and the type of the input."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

NORMS = {
    file.stem: node.activation
    for file in sorted((Path(__file__).parents[3] / "conf/norm").glob("*.yaml"))
    if (node := OmegaConf.load(file)).get("activation") and file.stem != "own"
}
SHAPES = {"vector": (32, 16), "map": (8, 16, 6, 6), "tokens": (8, 6, 16)}
LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}
CASES = [(norm, layout) for norm in NORMS for layout in SHAPES if (norm, layout) != ("instance", "vector")]


def made(norm, layout):
    module = instantiate(NORMS[norm], _convert_="all")(16, layout)
    if hasattr(module, "set_progress"):
        module.set_progress(1.0)
    return module


@pytest.mark.parametrize("autocast", [False, True], ids=["true", "mixed"])
@pytest.mark.parametrize("dtype", LOW.values(), ids=LOW)
@pytest.mark.parametrize(("norm", "layout"), CASES)
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_a_norm_computes_as_in_float64_up_to_the_rounding_of_its_input(norm, layout, dtype, autocast):
    """Values of about 500: their squares are more than float16 holds."""
    generator = torch.Generator().manual_seed(0)
    x = (200 * (3 * torch.randn(SHAPES[layout], generator=generator) + 1)).to(dtype)
    module = made(norm, layout)
    truth = copy.deepcopy(module).double()
    found, wanted = x.clone().requires_grad_(), x.double().requires_grad_()
    expected = truth(wanted)
    if autocast:
        with torch.autocast("cpu", dtype=dtype):
            out = module(found)
    else:
        out = module.to(dtype)(found)
    assert out.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out.double(), expected, rtol=2 * eps, atol=2 * eps)
    grad = torch.randn(out.shape, generator=generator).to(dtype)
    out.backward(grad)
    expected.backward(grad.double())
    if (norm, layout) not in (("group", "vector"), ("group", "tokens")):  # of two values: what is left is rounding
        error = (found.grad.double() - wanted.grad).abs().max()
        assert float(error) < 4 * eps * float(wanted.grad.abs().max())
    for (name, statistic), exact in zip(module.named_buffers(), truth.buffers(), strict=True):
        assert statistic.dtype == torch.float32, name
        torch.testing.assert_close(statistic.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "batch_renorm", "sync_batch"])
def test_moving_statistics_reach_those_of_the_data_in_bfloat16(norm):
    """In bfloat16 they would stop on the way: a step of 1 % is less than half a unit in the last place."""
    module = made(norm, "vector").to(torch.bfloat16)
    x = (5 + torch.randn(64, 16, generator=torch.Generator().manual_seed(0))).to(torch.bfloat16)
    for _ in range(1000):
        module(x)
    torch.testing.assert_close(module.running_mean, x.float().mean(0), rtol=1e-3, atol=0.0)
    again = functools.reduce(lambda own, dtype: own.to(dtype), LOW.values(), module)
    assert again.running_var.dtype == torch.float32
    assert again.to(torch.float64).running_var.dtype == torch.float64

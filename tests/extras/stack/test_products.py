"""oneDNN takes a stack's products only where it computes them in float32, and torch's settings stay as they were."""

import pytest
import torch

from paribus.extras.stack import products
from paribus.extras.stack.products import fast_products

PLAIN = torch.bmm
needs_permission = pytest.mark.skipif(products._PERMISSION is None, reason="torch older than 2.9 has no such setting")


@pytest.fixture(autouse=True)
def forget():
    products._stays_exact.cache_clear()
    yield
    products._stays_exact.cache_clear()


def rounded(x, w):
    """What a processor with AMX makes of the products where it may."""
    allowed = products._PERMISSION.fp32_precision == "bf16"
    return PLAIN(x.bfloat16().float(), w.bfloat16().float()) if allowed else PLAIN(x, w)


def test_products_are_of_float32():
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((8, 10), (32, 128), (360, 128)):
        x, w = torch.randn(8, rows, 128, generator=generator), torch.randn(8, columns, 128, generator=generator)
        with fast_products():
            found = torch.bmm(x, w.mT)
        error = (found.double() - x.double() @ w.double().mT).abs().max()
        bound = 128 * 2.0**-24 * (x.double().abs() @ w.double().abs().mT).max()  # of any order of summation
        assert error <= bound


@needs_permission
def test_settings_come_back():
    before = products._PERMISSION.fp32_precision
    with pytest.raises(ZeroDivisionError), fast_products():
        raise ZeroDivisionError
    assert products._PERMISSION.fp32_precision == before
    assert torch.get_float32_matmul_precision() == "highest"


@needs_permission
def test_not_allowed_where_it_would_round(monkeypatch):
    monkeypatch.setattr(products, "has_amx", lambda: False)
    monkeypatch.setattr(torch, "bmm", rounded)
    with fast_products():
        assert products._PERMISSION.fp32_precision != "bf16"


@needs_permission
@pytest.mark.parametrize(
    ("place", "found"), [("paribus.extras.stack.products.has_amx", True), ("torch.backends.mkl.is_available", False)]
)
def test_not_allowed_with_amx_or_without_mkl(monkeypatch, place, found):
    monkeypatch.setattr(place, lambda: found)
    with fast_products():
        assert products._PERMISSION.fp32_precision != "bf16"


@needs_permission
def test_allowed_where_nothing_is_rounded(monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(products, "has_amx", lambda: False)
    monkeypatch.setattr(torch, "bmm", lambda x, w: PLAIN(x.double(), w.double()).float())
    with fast_products():
        assert products._PERMISSION.fp32_precision == "bf16"

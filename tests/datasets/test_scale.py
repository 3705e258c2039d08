"""The scale of x against numpy, and where the usual formulas fail."""

import numpy as np
import pytest
import torch
from made_sources import Made

from paribus.datasets.prepare import prepare
from paribus.datasets.scale import statistics
from paribus.datasets.source import form_of


@pytest.mark.parametrize(("kind", "axes"), [("image", (0, 2, 3)), ("vector", (0,)), ("sequence", (0, 1))])
def test_mean_and_standard_deviation_are_those_of_numpy(kind, axes):
    source = Made(kind)
    x = source.load().train_x
    mean, std = statistics(x, form_of(source))
    np.testing.assert_allclose(mean.numpy(), np.mean(x.numpy(), axes, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), np.std(x.numpy(), axes, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("kind", ["image", "vector", "sequence"])
def test_the_training_set_alone_sets_the_scale(kind):
    splits = prepare(Made(kind), validation=20, subset=30)
    channel = 1 if kind == "image" else -1
    x = splits.train.x.double().movedim(channel, 0).flatten(1)
    torch.testing.assert_close(x.mean(1), torch.zeros(len(x), dtype=torch.double), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(1, correction=0), torch.ones(len(x), dtype=torch.double), atol=1e-5, rtol=0)
    assert len(splits.train) == 30
    assert splits.test.x.mean().abs() > 1e-3


class Columns(Made):
    """Dates in seconds, which single precision rounds to two minutes; a constant that its mean misses; counts."""

    shape = (3,)

    def x(self, size, generator):
        steps = torch.arange(size, dtype=torch.float64)
        return torch.stack([1.7e9 + steps, torch.full((size,), 0.1, dtype=torch.float64), steps % 2], 1)


def test_a_small_spread_beside_a_large_mean_is_kept():
    splits = prepare(Columns(shape=(3,)), validation=20)
    seconds = (splits.indices["train"].double() - splits.indices["train"].double().mean()).numpy()
    np.testing.assert_allclose(splits.train.x[:, 0].numpy(), seconds / seconds.std(), rtol=1e-6)


def test_a_constant_feature_becomes_zero_and_does_no_harm():
    splits = prepare(Columns(shape=(3,)), validation=20)
    for part in (splits.train, splits.val, splits.test):
        assert torch.equal(part.x[:, 1], torch.zeros(len(part)))


def test_without_standardisation_numbers_stay_and_images_are_divided():
    source = Made("vector")
    raw = source.load()
    splits = prepare(source, validation=20, standardize=False)
    assert torch.equal(splits.test.x, raw.test_x.float())
    image = prepare(Made("image"), validation=20, standardize=False)
    assert image.train.x.max() == 1.0


def test_bytes_of_vectors_are_standardised_when_gathered(monkeypatch):
    class Bytes(Made):
        def x(self, size, generator):
            return torch.randint(0, 256, (size, *self.shape), generator=generator).to(torch.uint8)

    floats = prepare(Bytes(), validation=20)
    monkeypatch.setattr("paribus.datasets.prepare.RESIDENT_BYTES", 100)
    kept = prepare(Bytes(), validation=20)
    assert kept.train.x.dtype == torch.uint8
    indices = torch.tensor([5, 2])
    torch.testing.assert_close(kept.train.gather(indices)[0], floats.train.gather(indices)[0])

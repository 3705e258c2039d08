"""Splits share nothing, the training set alone sets the scale, and noise is exactly what was asked for."""

import pytest
import torch
from made_sources import KINDS_OF_X, KINDS_OF_Y, Made

from paribus.datasets.digits import Digits
from paribus.datasets.prepare import LazySet, TensorSet, flip_labels, prepare
from paribus.datasets.stratify import randomly, stratified
from paribus.datasets.synthetic import Synthetic


def test_the_digits_are_split_for_good():
    splits = prepare(Digits(), validation=237)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1200, 237, 360)
    counts = torch.bincount(splits.test.y)
    assert counts.min() >= 34
    assert splits.train.x.shape[1:] == (1, 8, 8)
    # The same digits as scikit-learn's, in another order.
    from sklearn.datasets import load_digits

    raw = Digits().load()
    ours = torch.cat([raw.train_x, raw.test_x]).flatten(1).double()
    theirs = torch.tensor(load_digits().data)
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))


def test_no_sample_is_in_two_splits():
    splits = prepare(Digits(), validation=0.2, subset=300)
    train, val = set(splits.indices["train"].tolist()), set(splits.indices["val"].tolist())
    assert not train & val
    assert len(train) == 300


def test_the_training_set_alone_sets_the_scale():
    source = Synthetic(shape=(2, 4, 4), num_classes=3, num_train=300, num_test=30)
    splits = prepare(source, validation=60)
    assert isinstance(splits.train, TensorSet)
    torch.testing.assert_close(splits.train.x.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(splits.train.x.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert splits.val.x.mean().abs() > 1e-5
    raw = source.load()
    kept = raw.train_x[splits.indices["train"]]
    mean, std = kept.mean((0, 2, 3), keepdim=True), kept.std((0, 2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(splits.test.x, (raw.test_x - mean) / std, atol=1e-5, rtol=1e-5)


def test_a_constant_channel_and_raw_values():
    class Constant(Synthetic):
        def load(self):
            raw = super().load()
            raw.train_x[:, 0] = 5.0
            return raw

    assert prepare(Constant(num_train=200, num_test=20), validation=20).train.x.isfinite().all()
    plain = prepare(Digits(), validation=237, standardize=False)
    assert plain.train.x.min() == 0.0
    assert plain.train.x.max() == 1.0


def test_seeds_are_separate():
    def of(**options):
        return prepare(Digits(), validation=237, subset=600, label_noise=0.3, **options)

    base = of()
    assert torch.equal(base.indices["val"], of(noise_seed=1).indices["val"])
    assert not torch.equal(base.train.y, of(noise_seed=1).train.y)
    assert not torch.equal(base.indices["val"], of(split_seed=1).indices["val"])
    assert torch.equal(base.test.y, of(split_seed=1, noise_seed=1).test.y)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.333, 1.0])
def test_label_noise_is_exact_and_always_another_class(share):
    y = torch.arange(500) % 7
    noisy = flip_labels(y, share, 7, seed=0)
    assert int((noisy != y).sum()) == round(share * 500)
    assert noisy.min() >= 0
    assert noisy.max() < 7
    if share == 1.0:
        shifts = torch.bincount((noisy - y) % 7, minlength=7)
        assert shifts[0] == 0
        assert shifts[1:].min() > 500 / 6 * 0.6  # uniform over the others


def test_label_noise_touches_the_training_part_alone():
    clean, noisy = prepare(Digits(), validation=237), prepare(Digits(), validation=237, label_noise=0.5)
    assert torch.equal(clean.val.y, noisy.val.y)
    assert torch.equal(clean.test.y, noisy.test.y)
    assert clean.fingerprint != noisy.fingerprint


def test_a_fingerprint_names_the_data():
    assert prepare(Digits(), validation=237).fingerprint == prepare(Digits(), validation=237).fingerprint
    others = [prepare(Digits(), validation=236), prepare(Digits(), validation=237, split_seed=1)]
    assert len({prepare(Digits(), validation=237).fingerprint, *(o.fingerprint for o in others)}) == 3


def test_stratified_parts_keep_every_class_and_the_exact_size():
    y = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    rest, part = stratified(y, 33, seed=0)
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(100))
    assert torch.bincount(y[part]).tolist() == [23, 7, 3]
    assert not torch.equal(part, stratified(y, 33, seed=1)[1])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"validation": 0.0}, "data.validation"),
        ({"validation": 5000}, "data.validation"),
        ({"validation": 237, "subset": 0.0}, "data.subset"),
        ({"validation": 237, "subset": 1300}, "data.subset"),
        ({"validation": 237, "label_noise": 1.5}, "data.label_noise"),
        ({"validation": 1437}, "data.validation"),
        ({"validation": 237, "resident": "sometimes"}, "data.resident"),
    ],
)
def test_impossible_parts_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        prepare(Digits(), **options)


def test_bytes_too_large_for_floats_are_scaled_when_gathered(monkeypatch):
    as_floats = prepare(Digits(), validation=237)
    monkeypatch.setattr("paribus.datasets.prepare.RESIDENT_BYTES", 1000)
    as_bytes = prepare(Digits(), validation=237)
    assert as_bytes.train.x.dtype == torch.uint8
    indices = torch.tensor([3, 1, 4])
    for found, expected in zip(as_bytes.train.gather(indices), as_floats.train.gather(indices), strict=True):
        torch.testing.assert_close(found, expected)


def test_lazy_sets_read_what_resident_ones_hold(image_folder):
    from paribus.datasets.folder import ImageFolder

    source = ImageFolder(str(image_folder), image_size=8)
    resident = prepare(source, validation=6, resident=True)
    lazy = prepare(source, validation=6, resident=False)
    assert isinstance(lazy.train, LazySet)
    assert isinstance(resident.train, TensorSet)
    for number in range(len(resident.train)):
        x, y = lazy.train[number]
        torch.testing.assert_close(x, resident.train.x[number], atol=1e-5, rtol=1e-5)
        assert y == resident.train.y[number]


@pytest.mark.parametrize("x", KINDS_OF_X)
@pytest.mark.parametrize("y", KINDS_OF_Y)
def test_every_kind_is_split_and_lazy_sets_read_what_resident_ones_hold(x, y):
    def of(lazy, resident):
        return prepare(Made(x, y, lazy=lazy), validation=0.25, subset=30, resident=resident)

    memory, read, lazy = of(False, True), of(True, True), of(True, False)
    assert isinstance(lazy.train, LazySet)
    for splits in (memory, read, lazy):
        assert (len(splits.train), len(splits.val), len(splits.test)) == (30, 15, 20)
        assert not {*splits.indices["train"].tolist()} & {*splits.indices["val"].tolist()}
    for part in ("train", "val", "test"):
        everything = torch.arange(len(getattr(memory, part)))
        expected = getattr(memory, part).gather(everything)
        for splits in (read, lazy):
            for found, wanted in zip(getattr(splits, part).gather(everything), expected, strict=True):
                torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    raw = Made(x, y).load()
    assert memory.train.x.dtype == (torch.long if x == "tokens" else torch.float32)
    if x == "tokens":
        assert torch.equal(memory.train.x, raw.train_x[memory.indices["train"]])
    assert torch.equal(memory.test.y, raw.test_y if y == "class" else raw.test_y.float())
    assert memory.fingerprint == of(False, True).fingerprint
    assert memory.fingerprint != prepare(Made(x, y, seed=1), validation=0.25, subset=30).fingerprint


def test_only_classes_are_stratified():
    assert torch.bincount(prepare(Made(sizes=(99, 20)), validation=33).val.y).tolist() == [11, 11, 11]
    numbers = prepare(Made(kind_of_y="number"), validation=20)
    _, chosen = randomly(60, 20, 0)
    assert torch.equal(numbers.indices["val"], chosen)
    assert torch.equal(prepare(Made(kind_of_y="labels"), validation=20).indices["val"], chosen)
    assert not torch.equal(prepare(Made(kind_of_y="number"), validation=20, split_seed=1).indices["val"], chosen)


def test_random_parts_take_every_sample_equally_often():
    taken = torch.zeros(12)
    for seed in range(600):
        rest, chosen = randomly(12, 3, seed)
        assert sorted([*rest.tolist(), *chosen.tolist()]) == list(range(12))
        taken[chosen] += 1
    expected = 600 * 3 / 12
    assert (taken - expected).abs().max() < 5 * (expected * (1 - 3 / 12)) ** 0.5


def test_targets_keep_their_units_and_their_scale_is_that_of_the_training_set():
    splits = prepare(Made(kind_of_y="number"), validation=20, subset=30)
    kept = Made(kind_of_y="number").load().train_y[splits.indices["train"]]
    torch.testing.assert_close(splits.train.y, kept.float(), rtol=0, atol=0)
    torch.testing.assert_close(splits.target_mean, kept.mean(0).float())
    torch.testing.assert_close(splits.target_std, kept.std(0, correction=0).float())
    single = prepare(Made(kind_of_y="number", num_outputs=1), validation=20)
    assert single.train.y.ndim == 1
    assert single.target_mean.shape == single.target_std.shape == ()
    assert prepare(Made(), validation=20).target_mean is None

    class Constant(Made):
        def y(self, size, generator):
            return torch.full((size,), 1.7e9, dtype=torch.float64)

    constant = prepare(Constant(kind_of_y="number", num_outputs=1), validation=20)
    assert (constant.target_mean, constant.target_std) == (torch.tensor(1.7e9), 1.0)


@pytest.mark.parametrize("kind", ["number", "labels"])
def test_label_noise_is_for_classes(kind):
    with pytest.raises(ValueError, match=r"data\.label_noise replaces classes .* the targets of made are"):
        prepare(Made(kind_of_y=kind), validation=20, label_noise=0.1)

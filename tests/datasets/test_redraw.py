"""Test parts that are drawn anew from all samples."""

import pytest
import torch

from paribus.datasets.digits import Digits
from paribus.datasets.prepare import prepare
from paribus.datasets.source import LazyData


def of(seed=0, **options):
    return prepare(Digits(), validation=237, **{"test": "redraw", "split_seed": seed, **options})


def test_all_samples_are_used_once_and_classes_keep_their_shares():
    first, second = of(0), of(1)
    for each in (first, second):
        assert [len(part) for part in each.indices.values()] == [1200, 237, 360]
        assert torch.cat(list(each.indices.values())).sort().values.equal(torch.arange(1797))
        share = (
            torch.bincount(each.test.y) / 360
            - torch.bincount(torch.cat([each.train.y, each.val.y, each.test.y])) / 1797
        )
        assert share.abs().max() < 1 / 360
    common = set(first.indices["test"].tolist()) & set(second.indices["test"].tolist())
    assert 40 < len(common) < 110  # of 360, 72 are expected by chance


def test_indices_name_the_samples():
    raw, found = Digits().load(), of(3)
    everything = torch.cat([raw.train_y, raw.test_y])
    for name, part in (("train", found.train), ("val", found.val), ("test", found.test)):
        assert torch.equal(part.y, everything[found.indices[name]])


def test_runs_on_several_splits_share_a_fingerprint_that_names_the_sizes():
    mark = of(0).fingerprint
    assert mark.endswith(" 1200/237/360")
    assert of(5).fingerprint == mark
    others = [of(0, test=361), of(0, label_noise=0.1), of(0, test=None), of(0, standardize=False)]
    assert len({mark, *(each.fingerprint for each in others)}) == 5


def test_without_it_nothing_changes():
    assert torch.equal(of(0, test=None).test.y, Digits().load().test_y)


@pytest.mark.parametrize("size", [0, 1796, 5000])
def test_a_size_that_leaves_nothing_is_refused(size):
    with pytest.raises(ValueError, match=r"data\.test must be redraw, a share"):
        of(test=size)


class Lazy(Digits):
    def load(self):
        raw = super().load()
        parts = [
            torch.utils.data.TensorDataset(x, y) for x, y in ((raw.train_x, raw.train_y), (raw.test_x, raw.test_y))
        ]
        return LazyData(parts[0], raw.train_y, parts[1], raw.test_y)


def test_samples_that_are_read_one_by_one_are_the_same():
    kept, lazy = of(2), prepare(Lazy(), validation=237, test="redraw", split_seed=2, resident=False)
    assert torch.equal(lazy.test.y, kept.test.y)
    assert torch.allclose(lazy.test.gather(torch.arange(5))[0], kept.test.x[:5], atol=0.2)
    assert lazy.fingerprint.endswith(" 1200/237/360")

"""The tables that ship inside scikit-learn: its numbers, split for good."""

import math

import pytest
import torch

from paribus.datasets.prepare import prepare
from paribus.datasets.sklearn_tables import BreastCancer, Diabetes, Wine
from paribus.datasets.source import MissingDataError, form_of


def loaded(name):
    from sklearn import datasets

    return datasets.load_diabetes(scaled=False) if name == "diabetes" else getattr(datasets, f"load_{name}")()


@pytest.mark.parametrize(("source", "test"), [(Wine(), 36), (BreastCancer(), 114), (Diabetes(), 89)])
def test_the_samples_are_those_of_scikit_learn(source, test):
    theirs, raw = loaded(source.name), source.load()
    x, y = torch.cat([raw.train_x, raw.test_x]), torch.cat([raw.train_y, raw.test_y])
    ours = sorted((*row, target) for row, target in zip(x.tolist(), y.tolist(), strict=True))
    assert ours == sorted(
        (*row, target) for row, target in zip(theirs.data.tolist(), theirs.target.tolist(), strict=True)
    )
    assert len(raw.test_y) == test == math.ceil(len(y) / 5)
    assert form_of(source).shape == (theirs.data.shape[1],)
    if source.kind_of_y == "class":
        assert form_of(source).num_classes == len(theirs.target_names)
        for part in (raw.train_y, raw.test_y):
            share = torch.bincount(part) / len(part)
            assert (share - torch.bincount(y) / len(y)).abs().max() < 1 / len(part)


@pytest.mark.parametrize("source", [Wine(), BreastCancer(), Diabetes()])
def test_they_are_prepared_the_same_each_time(source):
    splits = prepare(source, validation=20)
    assert splits.fingerprint == prepare(type(source)(), validation=20).fingerprint
    assert splits.train.x.dtype == torch.float32
    torch.testing.assert_close(splits.train.x.mean(0), torch.zeros(source.shape), atol=1e-5, rtol=0)


def test_without_scikit_learn_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match=r"wine_data.csv comes with scikit-learn.*pip install"):
        Wine().load()

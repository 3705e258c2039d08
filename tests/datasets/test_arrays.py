"""Arrays of the user's own: every kind of sample, split or given in parts; choices are asked for and never guessed."""

import numpy as np
import pytest
import torch

from paribus.datasets.arrays import Arrays
from paribus.datasets.prepare import prepare
from paribus.datasets.source import MissingDataError, form_of

RNG = np.random.default_rng(0)
X = {
    "vector": RNG.normal(size=(40, 5)),
    "image": RNG.integers(0, 256, (40, 3, 4, 4), dtype=np.uint8),
    "sequence": RNG.normal(size=(40, 6, 2)).astype(np.float32),
    "tokens": RNG.integers(0, 9, (40, 6)),
}
Y = {"class": np.arange(40) % 3, "number": RNG.normal(size=(40, 2)), "labels": RNG.integers(0, 2, (40, 4))}
SAID = {"sequence": {"kind_of_x": "sequence"}, "tokens": {"vocabulary_size": 9}}


@pytest.fixture
def saved(tmp_path):
    def source(options=None, **arrays):
        path = tmp_path / "arrays.npz"
        np.savez(path, **arrays)
        return Arrays(str(path), **(options or {}))

    return source


@pytest.mark.parametrize("x", X)
@pytest.mark.parametrize("y", Y)
def test_every_kind_is_read_and_split(saved, x, y):
    source = saved(SAID.get(x), x=X[x], y=Y[y])
    form = form_of(source)
    assert form.kind_of_x == ("sequence" if x == "tokens" else x)
    assert (form.kind_of_y, form.shape, form.has_tokens) == (y, X[x].shape[1:], x == "tokens")
    raw = source.load()
    assert (len(raw.train_y), len(raw.test_y)) == (32, 8)
    found = np.concatenate([raw.train_x.numpy(), raw.test_x.numpy()]).reshape(40, -1)
    assert sorted(map(tuple, found)) == sorted(map(tuple, X[x].reshape(40, -1)))
    prepare(source, validation=8)


def test_parts_that_are_given_are_kept(saved):
    x, y = X["vector"], Y["class"]
    raw = saved(x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:]).load()
    np.testing.assert_array_equal(raw.train_x.numpy(), x[:30])
    np.testing.assert_array_equal(raw.test_y.numpy(), y[30:])


def test_samples_of_both_parts_are_found(saved):
    x, y = X["vector"], Y["class"]
    arrays = {"x_train": x[:31], "y_train": y[:31], "x_test": x[30:], "y_test": y[30:]}
    with pytest.raises(ValueError, match=r"1 of the test part are also.* row 0 of y_test is row 30 of y_train"):
        saved(**arrays).load()
    assert len(saved({"duplicates": "drop"}, **arrays).load().train_x) == 30
    assert len(saved({"duplicates": "keep"}, **arrays).load().train_x) == 31


def test_classes_may_be_text_or_any_whole_numbers(saved):
    names = np.array(["cat", "ant", "bee"])[Y["class"]]
    source = saved(x=X["vector"], y=names)
    assert source.classes == ["ant", "bee", "cat"]
    raw = source.load()
    found = {row: y for row, y in zip(map(tuple, raw.train_x.tolist()), raw.train_y.tolist(), strict=True)}
    assert len(found) == 32
    assert all(source.classes[y] == names[X["vector"].tolist().index(list(row))] for row, y in found.items())
    assert saved(x=X["vector"], y=Y["class"] * 10 + 5).classes == ["5", "15", "25"]


@pytest.mark.parametrize(
    "dtype", [">f4", "<f2", "u2", "i1", "?", "longdouble"], ids=["big", "half", "u16", "i8", "bool", "long"]
)
def test_types_that_torch_lacks(saved, dtype):
    x = (X["tokens"] % 2).astype(dtype)
    raw = saved({"kind_of_x": "vector"}, x=x, y=np.arange(40) % 2).load()
    found = np.concatenate([raw.train_x.numpy(), raw.test_x.numpy()]).astype(float)
    assert sorted(map(tuple, found)) == sorted(map(tuple, x.astype(float)))


def test_images_with_channels_last_or_none(saved):
    last = np.moveaxis(X["image"], 1, -1)
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) seem to have their channels at the end.*channels=last"):
        saved(x=last, y=Y["class"]).load()
    raw = saved({"channels": "last"}, x=last, y=Y["class"]).load()
    assert torch.equal(raw.train_x, saved(x=X["image"], y=Y["class"]).load().train_x)
    assert saved({"kind_of_x": "image"}, x=X["image"][:, 0], y=Y["class"]).shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"x": X["tokens"], "y": Y["class"]}, "leaves a choice.*kind_of_x=vector .quantities.*vocabulary_size"),
        ({"x": X["sequence"], "y": Y["class"]}, "kind_of_x=sequence or image"),
        ({"x": X["vector"]}, "has no y among x"),
        ({"x_train": X["vector"], "y": Y["class"]}, "has no y_train"),
        ({"x": X["vector"], "y": Y["class"][:30]}, r"the shape \(40, 5\) and its y \(30,\)"),
        ({"x": X["vector"].astype(object), "y": Y["class"]}, "can't be read: Object arrays"),
        ({"x": X["vector"].astype(complex), "y": Y["class"]}, "x of .* holds complex128"),
        ({"x": X["vector"], "y": np.where(np.arange(40) == 3, np.nan, 1.5)}, "that of 'y' in row 3 of y is missing"),
        ({"x": X["vector"], "y": np.eye(3)[Y["class"]]}, "one-hot"),
        (
            {"x_train": X["vector"], "y_train": Y["class"], "x_test": X["vector"][:, :4], "y_test": Y["class"]},
            "of one shape",
        ),
    ],
)
def test_what_can_not_be_is_named(saved, arrays, named):
    with pytest.raises(ValueError, match=named):
        saved(**arrays).load()


def test_files_that_are_none(tmp_path):
    with pytest.raises(MissingDataError, match=r"data\.source\.path to an \.npz file"):
        Arrays(str(tmp_path / "none.npz"))
    np.save(tmp_path / "one.npy", X["vector"])
    with pytest.raises(ValueError, match=r"is no \.npz file"):
        Arrays(str(tmp_path / "one.npy")).load()


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_the_file_is_executed(saved, capsys):
    with pytest.raises(ValueError, match="Object arrays"):
        saved(x=np.array([[Harmful()]]), y=np.array([0])).load()
    assert "executed" not in capsys.readouterr().out

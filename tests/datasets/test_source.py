"""What a source says of its samples: read before they are loaded, complete, and without contradictions."""

import pytest
import torch
from made_sources import KINDS_OF_X, KINDS_OF_Y, Made

from paribus.datasets.source import Form, form_of


class Stranger:
    """Of before: it says neither kind."""

    name, shape, num_classes = "stranger", (1, 4, 4), 2

    def load(self):
        raise AssertionError("the form is known before the data are loaded")


def test_who_says_nothing_has_images_with_classes():
    assert form_of(Stranger()) == Form((1, 4, 4), "image", "class", 2)


def test_one_number_is_a_vector_and_two_must_be_said():
    source = Stranger()
    source.shape = [13]
    assert form_of(source) == Form((13,), "vector", "class", 2)
    source.shape = (28, 28)
    with pytest.raises(ValueError, match=r"Stranger has the shape \(28, 28\)\. Give it kind_of_x"):
        form_of(source)
    source.kind_of_x = "sequence"
    assert form_of(source).kind_of_x == "sequence"


@pytest.mark.parametrize("x", KINDS_OF_X)
@pytest.mark.parametrize("y", KINDS_OF_Y)
def test_a_batch_of_zeros_has_the_types_of_the_data(x, y):
    source = Made(x, y)
    form, raw = form_of(source), source.load()
    batch_x, batch_y = form.zeros(4)
    assert batch_x.shape == raw.train_x[:4].shape
    assert batch_x.is_floating_point() == raw.train_x.is_floating_point()
    assert batch_y.shape == raw.train_y[:4].shape
    assert batch_y.is_floating_point() == (y != "class")
    assert form.has_tokens == (x == "tokens")
    assert form.num_classes == (3 if y == "class" else None)
    with torch.device("meta"):
        assert form.zeros(1)[0].device.type == "meta"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"shape": ()}, r"Made has shape=\(\)"),
        ({"shape": None}, "has shape=None"),
        ({"shape": (3, 0)}, r"shape=\(3, 0\)"),
        ({"shape": (3.0,)}, r"shape=\(3.0,\)"),
        ({"shape": "13"}, "shape='13'"),
        ({"kind_of_x": "table"}, "kind_of_x must be image, vector or sequence, and Made has 'table'"),
        ({"kind_of_x": "image"}, r"kind_of_x='image' is \(channels, height, width\), and Made has \(5,\)"),
        ({"kind_of_x": "sequence"}, r"\(places, features\), or \(places,\) with a vocabulary_size"),
        ({"vocabulary_size": 9}, "tokens are a sequence"),
        ({"kind_of_x": "sequence", "vocabulary_size": 0}, "vocabulary_size must be a whole number of at least 1"),
        ({"kind_of_y": "float"}, "kind_of_y must be class, number, labels or tokens"),
        ({"kind_of_y": "tokens"}, "has kind_of_y='tokens' without vocabulary_size. Give it one"),
        ({"num_classes": None}, "num_classes must be a whole number of at least 2, and Made has None"),
        ({"num_classes": 1}, "at least 2"),
        ({"kind_of_y": "number", "num_outputs": 0}, "num_outputs must be a whole number of at least 1"),
    ],
)
def test_what_contradicts_itself_is_named(said, named):
    source = Made()
    source.__dict__.update(said)
    with pytest.raises(ValueError, match=named):
        form_of(source)

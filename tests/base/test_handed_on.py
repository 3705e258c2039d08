"""What a constructor takes, where it hands names on to its parent."""

import pytest
from torch import nn

from paribus.base.callables import expected, open_ended
from paribus.base.errors import UserError
from paribus.run.instantiate import asked_for, check_arguments


class Base(nn.Module):
    def __init__(self, shape, num_outputs, width: int = 8):
        super().__init__()


class Wide(Base):
    def __init__(self, depth: int = 2, **kwargs):
        super().__init__(**kwargs)


class Fixed(Base):
    def __init__(self, shape, *args, **options):
        super().__init__(shape, *args, width=3, **options)


class Twice(Wide):
    def __init__(self, **kwargs):
        super().__init__(depth=3, **kwargs)


class Reads(Base):
    """Takes something out first, so it may take any name."""

    def __init__(self, **kwargs):
        self.own = kwargs.pop("own", None)
        super().__init__(**kwargs)


class Swallows(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.shape = kwargs["shape"]


class Refuses(nn.Module):
    """torch.nn.Module refuses each name."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)


OFFERED = {"shape": (1, 8, 8), "num_outputs": 10, "norm": None}


@pytest.mark.parametrize(
    ("cls", "takes", "is_open"),
    [
        (Base, ["num_outputs", "shape", "width"], False),
        (Wide, ["depth", "num_outputs", "shape", "width"], False),
        (Fixed, ["args", "num_outputs", "shape"], False),
        (Twice, ["num_outputs", "shape", "width"], False),
        (Reads, ["kwargs"], True),
        (Swallows, ["kwargs"], True),
        (Refuses, ["width"], False),
    ],
)
def test_names_are_followed_to_the_parents_that_get_them(cls, takes, is_open):
    parameters, _ = expected(cls)
    assert sorted(parameters) == takes
    assert open_ended(parameters) is is_open


@pytest.mark.parametrize("cls", [Wide, Twice, Fixed])
def test_a_class_is_given_what_its_parent_asks_for(cls):
    node = {"_target_": f"{__name__}.{cls.__name__}"}
    asked = asked_for("model", node, **OFFERED)
    assert asked == {"shape": (1, 8, 8), "num_outputs": 10}
    cls(**asked)


def test_whoever_reads_its_names_itself_is_given_all():
    assert asked_for("model", {"_target_": f"{__name__}.Swallows"}, **OFFERED) == OFFERED


def test_a_mistyped_name_and_a_wrong_type_are_found_in_the_parents():
    node = {"_target_": f"{__name__}.Wide"}
    with pytest.raises(UserError, match=r"takes no widht. Did you mean width\?"):
        check_arguments("model", node | {"widht": 3})
    with pytest.raises(UserError, match=r"model.width must be a whole number"):
        check_arguments("model", node | {"width": "broad"})

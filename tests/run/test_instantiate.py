"""The values that an annotation accepts."""

import pytest
from torch import Tensor

from paribus.base.errors import UserError
from paribus.run.instantiate import check_arguments, fits, instantiate


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (None, list[int] | None, True),
        (3, list[int] | None, False),
        (None, list[int], False),
        ([3], list[int], True),
        (True, dict[str, int] | bool, True),
        ("x", tuple[int, ...] | str, True),
        (3, float, True),
        (True, int, False),
    ],
)
def test_values_fit_their_annotation(value, hint, expected):
    """Generic types are classes to Python 3.10, and no value can be asked whether it is one of them."""
    assert fits(value, hint) is expected


class Rates:
    def __init__(self, lr: float | Tensor, sizes: list[int] | None = None, options: dict[str, int] | None = None):
        pass


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": "fast"}, "x.lr must be a number, got 'fast'"),
        ({"lr": 0.1, "sizes": 3}, "x.sizes must be a list or null, got 3"),
        ({"lr": 0.1, "options": 3}, "x.options must be a mapping or null, got 3"),
    ],
)
def test_a_message_names_types_in_the_words_of_a_configuration(given, said):
    """Of `float | Tensor` a configuration can only write a number."""
    with pytest.raises(UserError) as caught:
        check_arguments("x", {"_target_": f"{__name__}.Rates", **given})
    assert str(caught.value).startswith(said)


def test_a_misspelt_class_is_answered_with_the_names_of_its_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "friction_of_mine.py").write_text("class Regressor:\n    pass\n")
    with pytest.raises(UserError, match=r"friction_of_mine has no Regresor. Did you mean Regressor\?$"):
        instantiate("task.module", {"_target_": "friction_of_mine.Regresor"})
    with pytest.raises(UserError, match=r"torch.optim has no Adamm in its installed version. .* Did you mean Adam"):
        instantiate("optimizer", {"_target_": "torch.optim.Adamm"})

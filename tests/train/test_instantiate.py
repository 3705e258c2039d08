"""The values that an annotation accepts."""

import pytest

from paribus.train.instantiate import fits


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

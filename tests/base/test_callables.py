import functools

import torch

from paribus.base.callables import parameters_of


class Taker:
    def __init__(self, width, depth=2):
        pass


def test_parameters_of_classes_functions_and_partials():
    assert list(parameters_of(Taker)) == ["width", "depth"]
    assert parameters_of(Taker)["depth"].default == 2
    assert "reduction" in parameters_of(torch.nn.functional.mse_loss)
    assert list(parameters_of(functools.partial(pow, 2))) == ["exp", "mod"]


def test_what_tells_no_parameters_has_none():
    for each in (torch.add, None, dict):
        assert parameters_of(each) == {}

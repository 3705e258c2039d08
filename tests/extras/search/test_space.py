"""Hydra's sweep grammar as Optuna's distributions."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from paribus.base.errors import UserError
from paribus.extras.search.space import space_of


@pytest.mark.parametrize(
    ("given", "distribution", "value", "override"),
    [
        ("interval(0.01,0.1)", FloatDistribution(0.01, 0.1), 0.05, "x=0.05"),
        ("tag(log,interval(0.01,0.1))", FloatDistribution(0.01, 0.1, log=True), 0.02, "x=0.02"),
        ("int(interval(1,8))", IntDistribution(1, 8), 3, "x=3"),
        ("tag(log,int(interval(1,8)))", IntDistribution(1, 8, log=True), 8, "x=8"),
        ("range(1,8)", IntDistribution(1, 7), 7, "x=7"),  # as everywhere in Hydra, the end is not in it
        ("range(8,1,-2)", IntDistribution(2, 8, step=2), 4, "x=4"),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25), 0.5, "x=0.5"),
        ("choice(0.0,0.5)", CategoricalDistribution(["0.0", "0.5"]), "0.5", "x=0.5"),
        ("a,'b c',[1,2],null", CategoricalDistribution(["a", "'b c'", "[1,2]", "null"]), "[1,2]", "x=[1,2]"),
        ("b,b,a", CategoricalDistribution(["b", "a"]), "a", "x=a"),
    ],
)
def test_an_axis(given, distribution, value, override):
    [axis], fixed = space_of(None, [f"x={given}"])
    assert axis.distribution == distribution
    assert axis.suggest(FixedTrial({"x": value})) == value
    assert axis.override(value) == override
    assert fixed == []
    assert axis.distribution._contains(axis.distribution.to_internal_repr(axis.first))


def test_the_command_line_has_the_last_word():
    params = {"optimizer.lr": "interval(0.1,1)", "model.width": 8, "norm": "batch,layer"}
    axes, fixed = space_of(params, ["optimizer.lr=0.5", "+model.extra=1,2", "seed=3"])
    assert [axis.key for axis in axes] == ["norm", "+model.extra"]
    assert fixed == ["optimizer.lr=0.5", "model.width=8", "seed=3"]


@pytest.mark.parametrize(
    ("params", "arguments", "said"),
    [
        (None, ["seed=3"], "a search needs a key with several values"),
        (None, ["x=interval(1.0,0.5)"], "x=interval(1.0,0.5) can't be searched"),
        (None, ["x=tag(log,interval(0,1))"], "can't be searched"),
        (None, ["x=1,2", "x=3,4"], "x is given twice"),
        ({"model.token": "choice(hunter2a,hunter2b)"}, [], r"model.token=\*\*\* searches over a secret"),
    ],
)
def test_what_is_no_space(params, arguments, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace(")", r"\)")):
        space_of(params, arguments)

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import hydra_context, parse_overrides
from paribus.config.sweep import combinations, varied_keys


def parsed(*overrides):
    with hydra_context():
        return parse_overrides(overrides)


def test_every_combination_of_choices_and_ranges():
    overrides = parsed("norm=batch,layer", "model=mlp", "seed=range(3)")
    assert combinations(overrides)[0] == ["norm=batch", "model=mlp", "seed=0"]
    assert len(combinations(overrides)) == 6
    assert varied_keys(overrides) == ["norm", "seed"]


def test_lists_are_values_and_not_choices():
    assert combinations(parsed("norm=[batch,weight]")) == [["norm=[batch,weight]"]]
    assert len(combinations(parsed("norm=batch,[batch,weight]"))) == 2


def test_a_repeated_key_is_refused_where_hydra_drops_the_first():
    with pytest.raises(UserError, match="seed is given twice"):
        combinations(parsed("seed=1,2", "seed=3,4"))


def test_an_interval_needs_a_search():
    with pytest.raises(UserError, match="hparams_search=optuna"):
        combinations(parsed("optimizer.lr=interval(0.1,0.2)"))


def test_null_and_deletions_pass_through():
    assert combinations(parsed("clip.norm=null", "~tags")) == [["clip.norm=null", "~tags"]]

"""./conf/train.yaml changes what `paribus train` starts from in that folder."""

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.composer import Composer
from paribus.config.identity import run_id


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    return (tmp_path / "conf" / "train.yaml").write_text


def test_it_chooses_options_and_sets_values_below_ablations_and_command_lines(own, tmp_path):
    own("defaults:\n  - override /model: mlp\n  - override /optimizer: adam\nbudget: {epochs: 3}\nmodel: {width: 7}\n")
    (tmp_path / "conf" / "experiment").mkdir()
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /optimizer: sgd\nbudget: {epochs: 4}\n"
    )
    for line, optimizer, width, epochs in (
        ([], "Adam", 7, 3),
        (["experiment=mine"], "SGD", 7, 4),
        (["optimizer=adamw", "budget.epochs=5", "model.width=9"], "AdamW", 9, 5),
    ):
        config = resolved(load(line))
        assert config["optimizer"]["_target_"].endswith(optimizer)
        assert (config["model"]["width"], config["budget"]["epochs"]) == (width, epochs)
        assert Composer()(line).resolved == config


def test_the_identity_is_that_of_the_same_command_line(own):
    own("defaults:\n  - override /model: mlp\nbudget: {epochs: 3}\n")
    short = run_id(resolved(load([])))
    own("{}\n")
    assert run_id(resolved(load(["model=mlp", "budget.epochs=3"]))) == short


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("defaults:\n  - model: mlp\n", "got `- model: mlp`"),
        ("defaults:\n  - _self_\n  - base\n", "got `- base`"),
        ("[1, 2]\n", "must map keys to values"),
    ],
)
def test_a_file_that_is_no_change_of_the_defaults(own, text, said):
    own(text)
    with pytest.raises(UserError, match=r"conf/train\.yaml") as raised:
        load([])
    assert said in str(raised.value)

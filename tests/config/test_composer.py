"""A remembered composition is that of composing each command line the plain way."""

import random

import pytest
import yaml

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import group_options, hydra_context, load, resolved
from paribus.config.composer import Composer
from paribus.config.identity import run_id
from paribus.config.merger import merge, splice

# Those in the defaults of train.yaml, but for the ones that reach into all others.
DEFAULTS = yaml.safe_load((config_dir() / "train.yaml").read_text())["defaults"]
REACHING = ("hydra", "optional local", "optional own", "debug", "experiment", "hparams_search", "ablation", "task")
GROUPS = sorted({next(iter(each)) for each in DEFAULTS if isinstance(each, dict)} - {*REACHING})
VALUES = {
    "seed": [0, 7],
    "seeds.order": [3],
    "optimizer.lr": [0.1, 1e-5],
    "budget.epochs": [1, 20],
    "data.batch_size": [48, "full"],
    "tags": ["[a,b]"],
    "clip.norm": [1.0, "null"],
    "+new.key": [1],
    "paths.outputs": ["/x"],
}


def command_lines(number, generator):
    """Random choices of options and values, on top of one common beginning, as the arms of an ablation have it."""
    keys = generator.sample(GROUPS, 3)
    options = {key: group_options(key) for key in keys}
    values = generator.sample(sorted(VALUES), 2)
    for _ in range(number):
        chosen = [f"{key}={generator.choice(options[key])}" for key in keys]
        scalars = [f"{value}={generator.choice(VALUES[value])}" for value in values]
        yield [*([] if "model" in keys else ["model=mlp"]), *chosen, *scalars]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_configs_and_choices_are_those_of_composing_the_plain_way(seed):
    composer, generator = Composer(), random.Random(seed)
    with hydra_context():
        for overrides in command_lines(5, generator):
            whole = load(overrides)
            found = composer(overrides)
            assert found.resolved == resolved(whole), overrides
            assert dict(found.choices) == dict(whole.hydra.runtime.choices), overrides


@pytest.mark.parametrize(
    "overrides",
    [
        ["ablation=demo", "norm=layer", "optimizer=adamw"],
        ["ablation=demo", "norm=[batch,weight]", "model=mlp", "data.batch_size=48"],
        ["experiment=vit_digits", "optimizer=sgd", "norm=rms"],
        ["debug=overfit", "optimizer=sgd", "optimizer.lr=0.3"],
        ["norm=none", "~tags"],
        ["optimizer={lr: 0.3}", "data={batch_size: 48}"],
        ["callbacks=[default,ema]", "scheduler=cosine", "scheduler.warmup=0.1"],
    ],
)
def test_files_that_reach_into_other_groups(overrides):
    composer = Composer()
    with hydra_context():
        composer(["optimizer=momentum" if item.startswith("optimizer=") else item for item in overrides])
        assert composer(overrides).resolved == resolved(load(overrides))


def test_a_thousand_seeds_are_composed_once():
    calls = []

    def counted(overrides):
        calls.append(overrides)
        return load(overrides)

    composer = Composer(counted)
    with hydra_context():
        found = [composer(["optimizer=adam", f"seed={seed}", "optimizer.lr=0.5"]).resolved for seed in range(1000)]
    assert not calls
    assert [each["seeds"]["order"] for each in found] == list(range(1000))
    assert found[0]["optimizer"]["lr"] == 0.5


def test_equal_changes_share_a_section_and_equal_numbers_of_another_type_do_not():
    composer = Composer()
    with hydra_context():
        lines = [[f"optimizer.lr={rate}", f"seed={seed}"] for rate in ("1", "1.0") for seed in (0, 1)]
        found = [composer(line).resolved for line in lines]
        assert found[0]["optimizer"] is found[1]["optimizer"]
        assert found[0]["seeds"] is found[2]["seeds"]
        assert [type(each["optimizer"]["lr"]) for each in found] == [int, int, float, float]
        assert found == [resolved(load(line)) for line in lines]


def test_a_given_value_wins_over_one_that_is_carried_to_its_place():
    composer = Composer()
    with hydra_context():
        for line in (["seeds.order=3", "seed=5"], ["seed=5", "seeds.order=3"]):
            assert composer(line).resolved == resolved(load(line))
            assert composer(line).resolved["seeds"]["order"] == 3


def test_runs_have_the_id_of_their_configuration_and_each_is_checked():
    composer = Composer()
    with hydra_context():
        for line in (["seed=1"], ["seed=2", "optimizer.lr=0.3"], ["seed=1", "norm=layer"], ["seed=1"]):
            id, composed = composer.run(line)
            assert id == run_id(resolved(load(line)))
            assert composed.resolved == resolved(load(line))
        for wrong in ("trainer.accumulate=0", "repetition=-1", "clip.norm=-1", "budget.epochs=0"):
            for _ in range(2):
                with pytest.raises(UserError, match=wrong.split("=")[0]):
                    composer.run(["seed=1", wrong])


def test_an_unknown_option_or_key_gets_the_nearest_names():
    composer = Composer()
    with hydra_context():
        with pytest.raises(UserError, match=r"norm=grup is not an option. Did you mean group"):
            composer(["norm=grup"])
        with pytest.raises(UserError, match=r"optimizer.lrr is not a key.*optimizer.lr"):
            composer(["optimizer.lrr=0.1"])


def test_splicing_puts_every_change_in_its_place():
    assert splice(list("abcd"), [list("aXcd"), list("abcYZ")]) == list("aXcYZ")
    assert splice(list("abcd"), [list("acd"), list("abcde")]) == list("acde")
    assert splice(list("abcd"), [list("abcd"), list("abXd")]) == list("abXd")


def test_changes_that_meet_are_left_to_hydra():
    assert splice(list("abcd"), [list("aXYd"), list("abZd")]) is None
    assert splice(list("abcd"), [list("abXcd"), list("abYcd")]) is None


def test_merging_follows_omegaconf():
    into = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": None, "f": 5}
    merge(into, {"a": {"b": 3}, "d": [4], "e": {"x": 1}, "f": "???", "g": "???"})
    assert into == {"a": {"b": 3, "c": 2}, "d": [4], "e": {"x": 1}, "f": 5, "g": "???"}


def test_labels_that_name_the_environment_stay_as_they_are_written(monkeypatch):
    monkeypatch.setenv("WHO", "somebody's laptop")
    line = ["tags=['${oc.env:WHO}',plain]", "group='of ${ oc.env:WHO}'", "arm='${seed}'", "seed=3"]
    config = Composer()(line).resolved
    assert config["tags"] == ["${oc.env:WHO}", "plain"]
    assert config["group"] == "of ${ oc.env:WHO}"
    assert str(config["arm"]) == "3"  # of the run itself
    assert Composer()(["paths.data='${oc.env:WHO}'"]).resolved["paths"]["data"] == "somebody's laptop"
    assert run_id(config) == run_id(Composer()(["seed=3"]).resolved)


def test_values_that_must_be_given_are_put_in_first_so_that_the_others_need_no_composition_each(monkeypatch):
    module = ["task=lightning", "task.module={_target_: mine.Lit}", "task.metrics={mse: {better: lower}}"]
    composed = []
    composer = Composer(lambda overrides: composed.append(overrides) or load(overrides))
    with hydra_context():
        for seed in range(4):
            line = [*module, "task.monitor=val/mse", f"seed={seed}", "budget.epochs=2"]
            assert composer(line).resolved == resolved(load(line))
    assert len(composed) <= 2, "each seed was composed by Hydra"


def test_a_value_that_only_hydra_can_put_in_makes_no_composition_for_each_of_the_others(monkeypatch):
    """A list, or null in place of one, on the command line of an ablation."""
    composed = []
    composer = Composer(lambda overrides: composed.append(overrides) or load(overrides))
    with hydra_context():
        for seed in range(4):
            line = ["ablation=aa", "ablation.hypotheses=null", "ablation.factors.repetition=[0,1]", f"seed={seed}"]
            line += ["ablation.name=other", f"repetition={seed}", "optimizer.lr=0.1"]
            assert composer(line).resolved == resolved(load(line))
    assert len([each for each in composed if any(item.startswith("repetition") for item in each)]) <= 2


def test_old_templates_are_forgotten(monkeypatch):
    monkeypatch.setattr("paribus.config.composer.MOST_TEMPLATES", 3)
    composer = Composer()
    with hydra_context():
        for width in (8, 9, 10, 11, 12):
            line = ["model=mlp", f"model.width={width}", "++vars.a=1", f"budget.epochs={width}"]
            assert composer(line).resolved["model"]["width"] == width
            assert len(composer._templates) <= 3

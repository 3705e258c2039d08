"""Every key of the schema refuses what it can't hold, and names itself; every shipped option fits."""

import copy
import functools
import math
import typing

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.identity import run_id
from paribus.config.own import own_node
from paribus.config.parts import Freeze, Groups
from paribus.config.run import Run, recorded
from paribus.config.schema import Form, is_section, keys, kinds, leaves, optional, parse
from paribus.config.sections import Descent

SECTIONS = [(name, hint) for name, hint in keys(Run).items() if is_section(hint)]


@functools.cache
def shipped(root):
    return resolved(load([], root))


def config_of(section):
    return copy.deepcopy(shipped("train" if section is Run else "surface"))


def put(config, key, value):
    *parents, leaf = key.split(".")
    for parent in parents:
        config = config[parent]
    config[leaf] = value
    return config


def wrong_values(hint):
    """Values that no key of this annotation can hold: of other types, not finite, and beyond each bound."""
    found = kinds(hint)
    types = {kind.type for kind in found}
    yield from (
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        -(10**400),
        "\x00",
        "",
        " ",
        "\udc80",
        object(),
        [math.nan],
        [[]],
    )
    for kind, value in ((bool, True), (str, "no such word"), (dict, {"a": 1}), (type(None), None), (float, 0.7)):
        fits = kind in types or (kind is dict and any(isinstance(each.note, Form) for each in found))
        if not fits:
            yield value
    if not types & {int, float}:
        yield 3
    if tuple not in types:
        yield []
    for kind in found:
        if kind.type in (int, float) and len(types & {int, float}) == 1 and kind.note:
            step = 1 if kind.type is int else 1e-9
            for bound in (kind.note.least, kind.note.above):
                if bound is not None:
                    yield kind.type(bound - step)
            for bound in (kind.note.most, kind.note.below):
                if bound is not None:
                    yield kind.type(bound + step)
            yield from (each for each in (kind.note.above, kind.note.below) if each is not None)


TAKES = {Freeze: (None, [], {"a": 1}), Groups: (None,)}  # of sections that read several forms
ROOTS = [pytest.param(Run, id="Run"), pytest.param(Descent, id="Descent", marks=pytest.mark.needs("surfaces"))]
LEAVES = [
    pytest.param(*root.values, key, hint, id=f"{root.id}-{key}", marks=root.marks)
    for root in ROOTS
    for key, hint in leaves(*root.values)
]


@pytest.mark.parametrize(("root", "key", "hint"), LEAVES)
def test_a_key_refuses_what_it_cannot_hold_and_names_itself(root, key, hint):
    for wrong in (value for value in wrong_values(hint) if value not in TAKES.get(hint, ())):
        config = config_of(root)
        put(config, key, wrong)
        with pytest.raises(UserError) as caught:
            parse(root, config)
        assert str(caught.value).startswith(key), (wrong, str(caught.value))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("root", "key", "hint"), LEAVES)
def test_a_misspelt_neighbour_is_unknown_and_the_key_is_suggested(root, key, hint):
    config = config_of(root)
    put(config, f"{key}_", 1)
    with pytest.raises(UserError) as caught:
        Run.parse(config) if root is Run else parse(root, config)
    assert str(caught.value).startswith(f"{key}_ is not a key")
    assert key in str(caught.value).replace(f"{key}_", "")


@pytest.mark.parametrize(("root", "key", "hint"), LEAVES)
def test_a_missing_key_has_its_default_or_is_named(root, key, hint):
    config = config_of(root)
    *parents, leaf = key.split(".")
    below = config
    for parent in parents:
        below = below[parent]
    below.pop(leaf, None)
    section = keys(root)[parents[0]] if parents else root
    # A section that may be left to a module of task=lightning is named where the task is another one.
    if leaf in optional(section) and optional(section)[leaf] != own_node():
        parsed = Run.parse(config) if root is Run else parse(root, config)
        assert getattr(getattr(parsed, parents[0]) if parents else parsed, leaf) == optional(section)[leaf]
    else:
        with pytest.raises(UserError, match=f"^{key} is missing"):
            Run.parse(config) if root is Run else parse(root, config)


@pytest.mark.parametrize("name", [name for name, _ in SECTIONS])
def test_a_section_is_no_value(name):
    with pytest.raises(UserError, match=rf"^{name} is a section with the keys .* Try (seed=1|{name}\.\w+=)"):
        Run.parse({**shipped("train"), name: 20})


@pytest.mark.parametrize("root", ROOTS)
def test_the_schema_has_the_keys_of_the_shipped_configuration_and_no_other(root):
    config = shipped("train" if root is Run else "surface")
    absent = set(keys(root)) - set(config)
    assert absent <= {"ablation", "vars"}
    for name, hint in SECTIONS if root is Run else ():
        assert set(keys(hint)) - set(optional(hint)) <= set(config[name]) <= set(keys(hint))
    assert set(config) <= set(keys(root))


def test_the_parsed_run_holds_the_values_of_its_configuration():
    config = shipped("train")
    run = Run.parse(config)
    assert run.trainer.precision == config["trainer"]["precision"]
    assert run.optimizer == config["optimizer"]
    assert run.seeds.order == config["seeds"]["order"]
    with pytest.raises(AttributeError):
        run.trainer.precision = "64-true"


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("lr", "optimizer.lr=VALUE"),
        ("trainer.gradient_clip_val", "clip.norm=VALUE"),
        ("trainer.max_epochs", "budget.epochs=VALUE"),
        ("trainer.accumulate_grad_batches", "trainer.accumulate=VALUE"),
        ("data.augment", "augmentation=OPTION"),
        ("data.num_workers", "data.workers=VALUE"),
        ("ckpt_path", "To resume a killed run"),
        ("train", "unless it has a record"),
        ("width", "vars.width=VALUE"),
        ("optimiser", "Did you mean optimizer"),
    ],
)
def test_a_habit_from_elsewhere_gets_its_form_here(key, answer):
    config = config_of(Run)
    put(config, key, 1)
    with pytest.raises(UserError, match=f"^{key} is not a key") as caught:
        Run.parse(config)
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("options", "key", "values"),
    [
        (["optimizer=adam"], "optimizer.eps", [math.inf, math.nan, -1e-9, 1e30]),
        (["optimizer=adam"], "optimizer.betas", [[0.9, math.nan], [0.9, math.inf], [-0.1, 0.9]]),
        (["optimizer=momentum"], "optimizer.momentum", [1.5, -0.1]),
        (["optimizer=momentum"], "optimizer.lr", [math.inf, math.nan, -0.1, 10**400]),
        (["norm=batch"], "norm.activation.eps", [1e30, -1e-5, math.nan]),
        (["norm=batch"], "norm.activation.momentum", [1.5, -0.5]),
        (["model=vit_tiny"], "model.dropout", [-1, 1.5]),
        (["optimizer=adam"], "optimizer.betas", [[], [0.9], [0.9, 0.9, 0.9]]),
        (["optimizer=adam"], "optimizer.lr", [[], [0.1]]),
        (["optimizer=adafactor"], "optimizer.d", [0.5, -1]),
        (["optimizer=adafactor"], "optimizer.beta2_decay", [0.5]),
        (["optimizer=prodigy"], "optimizer.d0", [0, -1.0]),
        (["optimizer=shampoo"], "optimizer.block_size", [0, -1, 10**30]),
        (["optimizer=shampoo"], "optimizer.graft_type", [-1, 9]),
        (["norm=batch_renorm"], "norm.activation.r_max", [0.5, -1]),
        (["norm=group"], "norm.activation.groups", [0, -1, 10**30]),
        (["model=vit_tiny"], "model.heads", [0, -1]),
        (["model=cnn"], "model.widths", [[16, 0], [-1]]),
        (["scheduler=one_cycle"], "scheduler.high_momentum", [-1, 1.5]),
        (["scheduler=one_cycle"], "scheduler.div", [0, -1]),
        (["scheduler=plateau"], "scheduler.minimum", [-1, 1.5]),
        (["augmentation=crop_flip"], "augmentation.padding", [-1, 10**30]),
        pytest.param(
            ["callbacks=sharpness"], "callbacks.sharpness.samples", [0, -1], marks=pytest.mark.needs("curvature")
        ),
        (["callbacks=progress"], "callbacks.progress.every_seconds", [-1]),
        ([], "data.source._target_", [math.inf, "../../x", "", None, "os", "a..b", "a.b-c"]),
        (["callbacks=ema"], "callbacks.ema", [3, "word", [1]]),
    ],
)
def test_arguments_are_finite_and_within_their_bounds(options, key, values):
    for wrong in values:
        config = resolved(load(options))
        put(config, key, wrong)
        with pytest.raises(UserError, match=f"^{key}"):
            Run.parse(config)


def test_prodigys_growth_may_be_unlimited():
    Run.parse(resolved(load(["optimizer=prodigy"])))


def test_variables_are_read_by_interpolations_and_are_no_part_of_a_run():
    plain = resolved(load(["model=mlp", "model.width=32"]))
    named = resolved(load(["model=mlp", "+vars.width=32", "model.width=${vars.width}"]))
    assert Run.parse(named).vars == {"width": 32}
    assert run_id(named) == run_id(plain)


def test_an_old_record_may_hold_keys_that_are_gone_and_lack_those_that_are_young():
    config = config_of(Run)
    del config["repetition"], config["stack"], config["members"]
    config["evaluation"]["mode"] = "max"
    config["trainer"]["benchmark"] = True
    config["old"] = {"idea": 1}
    run, gone = recorded(config)
    assert gone == ["old", "trainer.benchmark"]
    assert run.repetition == 0
    assert "old" not in run.resolved


def test_a_warm_up_ends_within_the_run():
    config = resolved(load(["budget.updates=38", "scheduler.warmup=5000"]))
    with pytest.raises(UserError, match=r"scheduler\.warmup must end within the run, which has 38 updates, got 5000"):
        Run.parse(config)


def test_no_kind_of_an_annotation_is_forgotten():
    known = {bool, int, float, str, type(None), typing.Literal, tuple}
    for _, _, hint in (each.values for each in LEAVES):
        assert all(
            kind.type in known or isinstance(kind.note, Form) or hasattr(kind.type, "read") for kind in kinds(hint)
        )

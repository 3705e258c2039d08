"""Values and names go through Hydra's grammar and come back as they were, whatever letters they hold."""

import random

import pytest
from hydra.core.override_parser.types import OverrideType
from omegaconf import OmegaConf

from paribus.config.compose import load, resolved
from paribus.config.grammar import literal, number, override_value, parsed, read_literal, with_quotes

PIECES = [*"\\'\"${}é归 =,#\n([1a", "${", "${seed}", "null"]


def texts(count, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randint(0, 8))) for _ in range(count)]


def as_hydra_sees_it(override):
    """The oracle: Hydra's parse and OmegaConf's resolution, which nothing of ours takes part in."""
    config = OmegaConf.create({"x": None})
    OmegaConf.update(config, "x", parsed(override).value())
    return OmegaConf.to_container(config, resolve=True)["x"]


def test_a_literal_is_resolved_to_itself():
    for text in texts(2000):
        override = f"x={literal(text)}"
        assert as_hydra_sees_it(override) == text
        assert read_literal(override) == text


def test_a_value_reads_back_where_it_holds_no_interpolation():
    for text in (each for each in texts(2000, seed=1) if "${" not in each):
        assert as_hydra_sees_it(f"x={override_value(text)}") == text
        assert as_hydra_sees_it(f"x={override_value([text, {'a': text}])}") == [text, {"a": text}]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("+x=/home/zoé/my faces", "/home/zoé/my faces"),
        ("+x=归一化", "归一化"),
        ("+x='归一化'", "归一化"),
        ("+x=[é,b]", ["é", "b"]),
        ("+x={a: ñ}", {"a": "ñ"}),
        ("+x=plain", "plain"),
    ],
)
def test_words_beyond_ascii_need_no_quotes(given, value):
    assert resolved(load([given]))["x"] == value


def test_numbers_are_read_as_hydra_reads_them():
    draw, read = random.Random(2), 0
    for _ in range(2000):
        text = (
            f"{draw.choice(('x', 'a.b_1', '_x.y2', 'a'))}={''.join(draw.choices('00123.e-+_,', k=draw.randint(1, 5)))}"
        )
        if (found := number(text)) is not None:
            override = parsed(text)
            assert (override.key_or_group, override.type) == (found[0], OverrideType.CHANGE)
            assert not override.is_sweep_override()
            assert (type(override.value()), override.value()) == (type(found[1]), found[1])
            read += 1
    assert read > 200
    for text in (
        "a/b=1",
        "a@b=1",
        "+a=1",
        "a=01",
        "a=1.",
        "a=.5",
        "a=1,2",
        "a=1 ",
        " a=1",
        "a= 1",
        "a=१",
        "1=1",
        "a.0=1",
    ):
        assert number(text) is None


def test_what_is_quoted_or_ascii_stays_as_it_is():
    for given in ("x='é, ñ'", 'x="é"', "x=a b,c", "~é", "x=${oc.env:É}"):
        assert with_quotes(given) == given
    assert with_quotes("x=é,b,'ñ'") == "x='é',b,'ñ'"

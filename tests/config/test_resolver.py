"""What is resolved section by section is what OmegaConf makes of the whole."""

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from paribus.config.resolver import Resolver

FORMS = [
    "${seed}",
    "${ data.size }",
    "${data.source.root}/images",
    "${data.source}",
    "${model.widths}",
    "${model.widths.1}",
    "${model.widths[1]}",
    "${paths.outputs}-${seed}",
    "${oc.env:RESOLVER_SAYS,none}",
    "${oc.env:RESOLVER_SAYS_NOTHING,'a default, with ${seed}'}",
    "${oc.env:RESOLVER_SAYS_NOTHING}",
    "${oc.select:data.size,3}",
    "${oc.dict.keys:model}",
    "${.beside}",
    "${..seed}",
    "${paths.${data.name}}",
    r"\${seed}",
    r"\\${seed}",
    "${none.there}",
    "${seed",
    "${}",
    "$ {seed} $seed",
    "???",
    "${missing.value}",
    "${chain.first}",
]


def config(text):
    return {
        "seed": 7,
        "data": {"name": "outputs", "size": 0.5, "source": {"root": "${paths.outputs}/data", "files": [1, "${seed}"]}},
        "model": {"widths": [1, 2, 3], "beside": None},
        "paths": {"outputs": "${oc.env:RESOLVER_SAYS,outputs}"},
        "chain": {"first": "${chain.second}", "second": "${model.widths}"},
        "at": {"text": text, "beside": True, "list": [text, {"within": text}]},
        "plain": {"1": {"a": [[], {}]}},
    }


def outcome(resolve, given):
    try:
        return resolve(given)
    except OmegaConfBaseException as error:
        return type(error)


def whole(given):
    return OmegaConf.to_container(OmegaConf.create(given), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("text", FORMS)
def test_sections_are_resolved_as_in_the_whole(text, monkeypatch):
    monkeypatch.setenv("RESOLVER_SAYS", "said")
    assert outcome(Resolver(), config(text)) == outcome(whole, config(text))


def test_a_value_that_must_be_given_is_found_wherever_it_is():
    missing = {"missing": {"value": "???"}, "seed": 1}
    assert outcome(Resolver(), missing) is outcome(whole, missing) is MissingMandatoryValue


def test_what_is_shared_is_resolved_once_and_plain_sections_stay_themselves():
    resolver, first = Resolver(), config("${seed}")
    second = {**first, "plain": {"other": 1}}
    a, b = resolver(first), resolver(second)
    assert a["plain"] is first["plain"]
    assert b["plain"] is second["plain"]
    assert a["at"] is b["at"]
    assert a["at"]["text"] == 7
    for seed in (8, 8.0, True, "8"):
        found = resolver({**first, "seed": seed})["at"]["text"]
        assert found == seed
        assert type(found) is type(seed)

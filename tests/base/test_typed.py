"""Suggested overrides: Hydra reads back what they say, whatever the names are."""

from __future__ import annotations

import random
import shlex

import pytest
import yaml

from paribus.base.typed import typed
from paribus.config.grammar import override_value, parsed

SIGNS = "abAZ_09-/\\+.$%*@?|,()[]{}:= \"'#~é"
WORDS = ["null", "true", "1", "1.5", "1e5", "1_000", "inf", "-1", "+1", "a", "val/acc", "-a", "a-", "$a", "1a", "a.b",
         "${x}", "a  b", " a", "a ", "\\", "\\\\", "a\\", "a\\:", ".5", "on", "f1 (macro)", "top-5", ""]  # fmt: skip


def read(text: str) -> tuple[list[str], object]:
    """What a shell, and then Hydra, make of it: the parts of the key, and the value."""
    [override] = shlex.split(text)
    found = parsed(override)
    parts, value = found.key_or_group.split("."), found.value()
    while isinstance(value, dict):
        [(key, value)] = value.items()
        parts.append(key)
    return parts, value


def test_a_metric_of_the_validation():
    assert typed(["ablation", "targets", "val/acc"], "0.97") == "'+ablation.targets={val/acc: 0.97}'"
    assert typed("ablation.targets.val/acc", "0.97") == "'+ablation.targets={val/acc: 0.97}'"
    assert typed(["task", "metrics", "map.50", "better"], "higher") == "'+task.metrics={map.50: {better: higher}}'"
    assert typed("optimizer.lr", "0.1") == "optimizer.lr=0.1"
    assert typed("vars.x", "VALUE", "+") == "+vars.x=VALUE"
    assert typed("tags", "[a]") == "'tags=[a]'"
    assert typed("data.source.delimiter", "'$'") == "\"data.source.delimiter='\\$'\""


@pytest.mark.parametrize("seed", range(4))
def test_hydra_reads_back_what_it_says(seed):
    r, in_yaml = random.Random(seed), 0
    for _ in range(500):
        names = [
            r.choice(WORDS) if r.random() < 0.5 else "".join(r.choices(SIGNS, k=r.randint(1, 5))) for _ in range(2)
        ]
        text = typed(["task", *names], "VALUE", r.choice(["", "+", "++"]))
        if text.endswith(" in a YAML file"):
            in_yaml += 1
            assert yaml.safe_load(text.removesuffix(" in a YAML file")) == {"task": {names[0]: {names[1]: "VALUE"}}}
        else:
            assert read(text) == (["task", *names], "VALUE")
    assert 0 < in_yaml < 450, "only names that no mapping of Hydra's grammar can hold"


@pytest.mark.parametrize("name", ["val/acc", "f1 (macro)", "a:b", "a=b", "a, b", "top-5", "x[0]", "{x}"])
def test_values_of_ablations_hold_any_names(name):
    value = {name: {"better": "higher"}}
    assert parsed(f"+task.metrics={override_value(value)}").value() == value

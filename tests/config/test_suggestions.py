"""Overrides that messages suggest: each is typed as it stands, composed, and does what the message says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from paribus.ablation.parser import parse
from paribus.base.errors import UserError
from paribus.base.metrics import Metric, Metrics, how_to_declare
from paribus.config.compose import load
from paribus.config.composer import Composer
from paribus.config.schema import parse as parse_section
from paribus.config.sections import Budget
from paribus.config.task import Task, declared
from paribus.config.unknown import unknown
from paribus.run.instantiate import check_arguments
from paribus.store.declared import agreed
from paribus.store.record import Record

NAMES = ["flower", "val/x", "map.50", "top-5", "x/y.z", "flower@5"]


def suggested(message: str) -> str:
    """The last override of a message, as a shell hands it over."""
    found = re.findall(
        r"(?:[Ww]rite|Try|give|beside these:|belong under vars:|own:|declare it:) ('[^']+'|\S+)", message
    )
    [text] = shlex.split(found[-1].rstrip(",."))
    return text


def composed(override: str, *others: str):
    return load([*others, override])


def message_of(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        Composer().run([*overrides])
    return str(caught.value)


@pytest.fixture
def ablation(tmp_path, monkeypatch):
    """An ablation file of the user with one target."""
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "fast.yaml").write_text("name: fast\nfactors: {norm: [none, batch]}\ntargets: {val/loss: 0.3}\n")
    (folder / "slow.yaml").write_text("name: slow\nfactors: {norm: [none, batch]}\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["fast", "slow"])
@pytest.mark.parametrize("tried", ["ablation.targets.val/acc=0.97", "+ablation.targets.val/acc=0.97"])
def test_a_target_on_the_command_line(ablation, name, tried):
    said = message_of(f"ablation={name}", tried)
    assert said.endswith("Write '+ablation.targets={val/acc: 0.97}'")
    config = composed(suggested(said), f"ablation={name}")
    assert config.ablation.targets["val/acc"] == 0.97
    assert len(config.ablation.targets) == (2 if name == "fast" else 1)
    section = OmegaConf.to_container(config.ablation)
    assert {*parse(section, ".")[0].targets} >= {"val/acc"}


@pytest.mark.parametrize(
    ("tried", "asked"),
    [("ablation.targets={val/acc: 1}", "'+ablation.targets={val/acc: VALUE}'"),
     ("ablation.targets.flower=1", "+ablation.targets.flower=VALUE"),
     ("ablation.metric=val/acc", "+ablation.metric=VALUE")],
)  # fmt: skip
def test_what_an_ablation_file_does_not_set(ablation, tried, asked):
    said = message_of("ablation=fast", tried)
    assert said.endswith(f"To add it, write {asked}")
    composed(suggested(said), "ablation=fast")


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_declared(name):
    override = suggested(how_to_declare(name))
    assert composed(override).task.metrics[name].better == "higher"
    known = declared(OmegaConf.to_container(composed(override).task.metrics), "task.metrics")
    assert known[name].better == "higher"


@pytest.mark.parametrize("name", NAMES)
def test_a_direction_is_declared(name):
    known = declared({name: {"unit": "percent"}}, "task.metrics")
    with pytest.raises(UserError) as caught:
        known.direction("evaluation.monitor", name)
    override = suggested(str(caught.value))
    assert composed(override, f"+task.metrics={{{name}: {{unit: percent}}}}").task.metrics[name].better == "higher"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", [{"chance": "all"}, {"unit": "u" * 40}])
def test_what_a_declaration_can_not_hold(name, entry):
    with pytest.raises(UserError) as caught:
        declared({name: entry}, "task.metrics")
    override, key = suggested(str(caught.value)), next(iter(entry))
    start = f"+task.metrics={{{name}: {{{key}: {entry[key]}}}}}"
    assert composed(override, start).task.metrics[name][key] is None


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_of_a_module_is_declared(name):
    task = Task({"_target_": "lightning.module"}, Metrics(), "val/loss")
    with pytest.raises(UserError) as caught:
        task.beside(Metrics([Metric(name, "lower")]))
    assert composed(suggested(str(caught.value))).task.metrics[name].better == "lower"


def test_a_name_of_its_own():
    records = [Record(id=how, status="done", metrics={"test/f1@5": 1.0},
                      declared={"f1@5": {"better": "higher", "how": how}}) for how in "AB"]  # fmt: skip
    with pytest.raises(UserError) as caught:
        agreed("test/f1@5", records)
    override = suggested(str(caught.value)).replace("...", "_target_: torchmetrics.F1Score")
    assert composed(override).metrics["f1@5_2"]._target_ == "torchmetrics.F1Score"


@pytest.mark.parametrize("pattern", ["head", "backbone.*", "*.bias", "layer[0].x", "a b"])
def test_parameters_that_are_frozen_for_a_while(pattern):
    said = message_of(f"+freeze={{{pattern.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}: 0}}")
    config = composed(suggested(said))
    assert config.freeze[pattern] == 3


@pytest.mark.parametrize("tried", ["groups=[a]", "groups={a: 1}"])
def test_options_for_some_parameters(tried):
    assert composed(suggested(message_of(tried))).groups["*.bias"].weight_decay == 0


@pytest.mark.parametrize("name", ["x", "my-rate", "x/y", "a b"])
def test_values_of_the_user(name):
    assert composed(suggested(unknown(name, []))).vars[name] == "VALUE"


@pytest.mark.parametrize("name", ["mine", "my-own", "ours/mine"])
def test_the_class_of_a_callback(name):
    said, start = message_of(f"+callbacks={{{name}: {{_target_: 3}}}}"), f"+callbacks={{{name}: {{_target_: a.B}}}}"
    assert composed(suggested(said), start).callbacks[name]._target_ == "package.Class"


@pytest.mark.parametrize("name", ["mine", "my-own", "ours/mine"])
def test_an_argument_of_a_callback(name):
    node = {"_target_": "paribus.callback.EMA", "decay": "much"}
    with pytest.raises(UserError) as caught:
        check_arguments(f"callbacks.{name}", node)
    start = f"+callbacks={{{name}: {{_target_: paribus.callback.EMA, decay: 0.9}}}}"
    assert composed(suggested(str(caught.value)), start).callbacks[name].decay == "VALUE"


def test_sections_and_their_keys():
    for tried in ("budget=3", "budget.epochs=much", "tags=3", "data.subset=much", "trainer.devices=much"):
        composed(suggested(message_of(tried)))
    with pytest.raises(UserError) as caught:
        parse_section(Budget, 3, "budget")
    composed(suggested(str(caught.value)))


def test_what_is_no_override_for_other_reasons_gets_the_rule():
    for tried in ("ablation.targets={loss: 1", "~task.metrics.a/b", "2x=1", "a..b/c=1"):
        assert message_of(tried).endswith("Write key=value, group=option or +new.key=value")
    assert message_of("+task.metrics.é.better=higher").endswith(
        'Write task: {metrics: {"é": {better: higher}}} in a YAML file'
    )


def test_every_message_with_a_key_of_the_user_takes_the_helper():
    """A key that is put together from a name, and then a value: that is for `typed` to write."""
    source, found = Path(__file__).parents[2] / "src" / "paribus", []
    for path in source.rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"(Try|[Ww]rite|[Gg]ive) '?\+?[\w.]*\{(where|key|place|name)[^}]*\}[\w.{}]*=", line):
                found.append(f"{path.relative_to(source)}:{number}: {line.strip()}")
    assert [each for each in found if not each.startswith("config/sweep.py")] == [], "whose key Hydra has read"


@pytest.mark.parametrize(
    "file",
    [
        {"defaults": [{"override /task": "regression"}]},  # without its first line
        {"defaults": [{"override task": "regression"}]},
    ],
)
def test_an_ablation_file_in_the_wrong_form_says_which_form_is_right(paribus, tmp_path, file):
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    first = "" if "override /task" in file["defaults"][0] else "# @package _global_\n"
    section = {"name": "mine", "factors": {"optimizer": ["sgd", "adam"]}}
    (folder / "mine.yaml").write_text(first + json.dumps({**file, "ablation": section}))
    result = paribus("plan", "ablation=mine")
    assert result.code == 2
    assert "begins with the line `# @package _global_`" in result.err
    assert "- override /task: OPTION" in result.err
    assert "no place" not in unknown("metrics.flower@5", ["metrics"])


def test_the_name_of_an_ablation_alone_is_answered_with_its_override(paribus):
    for word, said in {
        "norms": "Write ablation=norms",
        "notes/norms": "Write ablation=notes/norms",
        "x": "Write key=",
    }.items():
        result = paribus("table", word)
        assert result.code == 2
        assert said in result.err

"""docs/model.md and torch-classes.md: what they tell a reader to write and type works as it stands there."""

import re
import textwrap
from pathlib import Path

import pytest
import torch
import yaml

from paribus.run.evaluate import load_weights
from paribus.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"
PAGE = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in ("model.md", "torch-classes.md"))
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=\n*    ))+", re.MULTILINE)
BLOCKS = [textwrap.dedent(each).strip("\n") + "\n" for each in INDENTED.findall(PAGE)]
SMALL = ("data.subset=100", "data.validation=60", "budget.epochs=2", "seed=1")


def block(begins):
    return next(each for each in BLOCKS if each.strip().startswith(begins))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The files of the page, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mynet.py").write_text(block("from torch import nn"))
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(block("_target_: mynet.Net"))
    return tmp_path


def weights_of(record):
    return load_weights(Store("outputs").run_dir(record.id) / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("norm", ["own", "none", "layer", "group"])
def test_an_own_network_is_trained(paribus, project, norm):
    result = paribus("train", "model=mine", f"norm={norm}", *SMALL)
    assert result.code == 0, result.err


def test_parts_of_it_are_loaded_frozen_and_have_their_own_options(paribus, project):
    assert paribus("train", "model=mine", "norm=own", *SMALL).code == 0
    [first] = Store("outputs").scan()
    state = weights_of(first)
    torch.save(state, "pretrained.pt")
    parts = [yaml.safe_load(each) for each in (block("init:"), block('freeze: ["backbone'), block("groups:"))]
    (project / "conf" / "experiment").mkdir()
    content = "# @package _global_\n" + "".join(yaml.safe_dump(each) for each in parts)
    (project / "conf" / "experiment" / "parts.yaml").write_text(content)
    result = paribus("train", "model=mine", "norm=own", "experiment=parts", *SMALL)
    assert result.code == 0, result.err
    [second] = [record for record in Store("outputs").scan() if record.id != first.id]
    found = weights_of(second)
    assert torch.equal(found["backbone.1.weight"], state["backbone.1.weight"])
    assert not torch.equal(found["head.weight"], state["head.weight"])


def test_a_loss_and_a_scheduler_of_torch(paribus, project):
    for group, name in (("loss", "CrossEntropyLoss"), ("scheduler", "lr_scheduler")):
        (project / "conf" / group).mkdir()
        text = next(each for each in BLOCKS if name in each)
        (project / "conf" / group / "own.yaml").write_text(text)
    result = paribus("train", "model=mine", "norm=own", "loss=own", "scheduler=own", *SMALL)
    assert result.code == 0, result.err


def test_the_other_forms_of_the_page(paribus, project):
    awhile = yaml.safe_load(block('freeze: {"backbone'))
    (project / "conf" / "experiment").mkdir()
    (project / "conf" / "experiment" / "awhile.yaml").write_text("# @package _global_\n" + yaml.safe_dump(awhile))
    typed = re.search(r"`'(groups=.*?)'`", PAGE)[1]
    result = paribus("train", "model=mine", "norm=own", "experiment=awhile", typed, *SMALL)
    assert result.code == 0, result.err

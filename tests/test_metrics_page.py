"""docs/metrics.md: what it tells a reader to write and type works as it stands there."""

import re
import textwrap
from pathlib import Path

import yaml

from paribus.config import config_dir
from paribus.store.store import Store

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
SMALL = ("model=mlp", "model.width=8", "norm=none", "data.subset=100", "data.validation=60", "budget.epochs=1")


def block(begins):
    """The indented block of the page that begins so."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    |\n    ))+", PAGE, re.MULTILINE)
    return next(textwrap.dedent(each).strip("\n") + "\n" for each in blocks if begins in each)


def test_the_options_of_the_page_are_those_of_the_group():
    table = PAGE.partition("| `task` | options |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip().split(", ") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    listed = {option: tasks for tasks, options in rows for option in options}
    files = (config_dir() / "metrics").glob("*.yaml")
    assert listed == {path.stem: yaml.safe_load(path.read_text())[path.stem]["tasks"] for path in files}


def test_an_own_metric_is_measured(paribus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own.py").write_text(block("import torch"))
    (tmp_path / "conf" / "metrics").mkdir(parents=True)
    (tmp_path / "conf" / "metrics" / "confident.yaml").write_text(block("# The share"))
    result = paribus("train", *SMALL, "metrics=[confident,f1]", "evaluation.monitor=val/confident")
    assert result.code == 0, result.err
    [record] = list(Store(tmp_path / "outputs").scan())
    assert 0 <= record.metrics["test/confident"] <= 1
    declared = {"better": "higher", "unit": "percent", "chance": None, "how": "own.Confident()"}
    assert record.declared["confident"] == declared
    later = paribus("evaluate", "--metrics", "auroc", record.id)
    assert later.code == 0, later.err

"""docs/new.md and docs/adopt.md: what they tell a reader to type works as it stands there."""

import re
import shlex
import sys
from pathlib import Path

import hydra_template
import pytest
import yaml

from paribus.store.store import Store

pytestmark = pytest.mark.needs("lightning")  # their projects are LightningModules

DOCS = Path(__file__).parents[1] / "docs"
QUICK = ["budget.epochs=1"]


def commands(page):
    """The command lines of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [shlex.split(line)[1:] for line in re.findall(r"^    (paribus .*)$", text, re.MULTILINE)]


@pytest.fixture
def imports(monkeypatch):
    """Makes the packages of a folder importable, for one test."""
    known = set(sys.modules)
    yield lambda folder: (monkeypatch.chdir(folder), monkeypatch.syspath_prepend(str(folder)))
    for name in {name for name in sys.modules if name.partition(".")[0] in ("src", "my_study")} - known:
        del sys.modules[name]


def test_the_page_on_new_projects(paribus, imports, tmp_path):
    first, *others = commands("new.md")
    assert paribus(*first).code == 0
    project = tmp_path / "my-study"
    text = (DOCS / "new.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"^\| `.*\n", text, re.MULTILINE))
    assert len(named := re.findall(r"`([\w./]+)`", rows)) == 9
    assert [name for name in named if not (project / name).is_file()] == []
    imports(project)
    [defaults] = re.findall(r"^    # conf/train\.yaml\n((?:    .*\n)+)", text, re.MULTILINE)
    (project / "conf" / "train.yaml").write_text("".join(line[4:] + "\n" for line in defaults.splitlines()))
    makefile = re.findall(r"-m paribus (.*)", (project / "Makefile").read_text())
    assert {tuple(shlex.split(line)) for line in makefile} <= {tuple(line) for line in others}
    said = {}
    for line in others:
        short = QUICK if line[0] == "train" and "ablation=rate" not in line else []
        short = ["budget.epochs=1", "ablation.seeds=2"] if "ablation=rate" in line else short
        done = paribus(*line, *short)
        assert done.code == 0, (line, done.err)
        said[line[0]] = done.out
    assert re.search(r"\| rate-1 .*\*\*[A-Z]+\*\*", said["table"])  # a verdict
    assert {record.status for record in Store("outputs").scan()} == {"done"}
    readme = (project / "README.md").read_text()
    assert "my_study/module.py" in readme


def test_the_page_on_projects_of_others(paribus, imports, tmp_path, monkeypatch):
    monkeypatch.delenv("PROJECT_ROOT", raising=False)
    folder = hydra_template.project(tmp_path / "name")
    imports(folder)
    for line in commands("adopt.md"):
        done = paribus(*(word.replace("NAME", "name") for word in line), *(QUICK if line[0] == "train" else []))
        assert done.code == 0, (line, done.err)
    assert sum(record.status == "done" for record in Store("outputs").scan()) == 3
    text = (DOCS / "adopt.md").read_text(encoding="utf-8")
    written = re.findall(r"^\| `(conf/\S+)` \|", text, re.MULTILINE)
    assert len(written) == 7
    for name in written:
        assert list(folder.glob(name.replace("NAME", "name").replace("OPTION", "*"))), name
    [factors] = re.findall(r"`factors: (\{task.*?\})`", text)
    assert all((folder / f"conf/task/module/{each}.yaml").is_file() for each in yaml.safe_load(factors)["task/module"])

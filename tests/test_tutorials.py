"""docs/tutorials: what they tell a reader to write and type works as it stands there, in their order.

The fast test plans the ablations. The slow one trains them, on fewer seeds and with fewer epochs.
"""

import re
from pathlib import Path

import hydra_template
import pytest
import scripts

from paribus.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [f"tutorials/{name}" for name in ("first-ablation", "own-module", "paper", "slurm")]
doc_blocks = scripts.load("doc_blocks")


def blocks(page):
    return doc_blocks.blocks(DOCS / f"{page}.md")


def written(block):
    return doc_blocks.written(block, Path())


def test_chinese_editions_have_the_same_code_and_tables_of_equal_length():
    for path in sorted((DOCS / "tutorials").glob("[!i]*.md")):
        name = f"tutorials/{path.stem}"
        assert blocks(name) == blocks(f"zh/{name}")
        rows = [
            len(re.findall(r"^\|", (DOCS / f"{each}.md").read_text("utf-8"), re.M)) for each in (name, f"zh/{name}")
        ]
        assert rows[0] == rows[1], name


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.needs("lightning", "cluster")
@pytest.mark.parametrize("page", PAGES)
def test_the_files_of_a_tutorial_are_planned(page, paribus, here):
    files = [file for block in blocks(page) if (file := written(block))]
    names = [file.stem for file in files if file.parent.name == "ablation"]
    assert len(names) == 1
    done = paribus("plan", f"ablation={names[0]}")
    assert done.code == 0, done.err
    assert "training would register" in done.out


@pytest.mark.slow
@pytest.mark.needs("lightning", "cluster", "exchange", "wandb")
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_from_its_first_command_to_its_last(page, paribus, here):
    said = {}
    for block in map(doc_blocks.smaller, blocks(page)):
        if written(block) is None:
            for arguments in doc_blocks.commands(block):
                done = paribus(*arguments)
                assert done.code == 0, (arguments, done.err)
                said[arguments[0]] = done.out + done.err
    assert " ± " in said["table"] or "-o" in str(blocks(page))
    statuses = {record.status for record in Store(here / "outputs").scan()}
    assert "done" in statuses <= {"done", "diverged"}  # at the largest rate
    if "verify" in said:
        assert "agree with the records" in said["verify"]


@pytest.mark.slow
@pytest.mark.needs("lightning")
def test_the_tutorial_on_projects_of_others(paribus, here, monkeypatch):
    monkeypatch.delenv("PROJECT_ROOT", raising=False)
    folder = hydra_template.project(here / "name")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for block in blocks("tutorials/template"):
        for arguments in doc_blocks.commands(block):
            quick = ["budget.epochs=1"] if arguments[0] in ("train", "table") else []
            done = paribus(*(word.replace("=NAME", "=name") for word in arguments), *quick)
            assert done.code == 0, (arguments, done.err)

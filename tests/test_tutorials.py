"""docs/tutorials: what they tell a reader to write and type works as it stands there, in their order.

The fast test plans the ablations. The slow one trains them, on fewer seeds and with fewer epochs.
"""

import re
import shlex
from pathlib import Path

import hydra_template
import pytest

from paribus.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [f"tutorials/{name}" for name in ("first-ablation", "own-module", "paper", "slurm")]
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=\n*    ))+", re.MULTILINE)
FILE = re.compile(r"[#%] ([\w/.-]+\.(?:py|yaml|tex))\n")
SMALLER = (
    (r"epochs: \d+", "epochs: 1"),
    (r"report: \d+(, cap: \d+)?", "report: 2"),
    (r"tune: \d+, ", "tune: 1, "),
    (r"((?:log|times): \[[\d., ]+), \d+\]", r"\1, 2]"),
    (r"budget\.epochs=\d+", "budget.epochs=1"),
    (r"submitit_slurm", "submitit_local"),  # no queue is at hand
    (r"partition: gpu, ", ""),
)


def blocks(page):
    """The indented blocks of a page, without their margin."""
    found = INDENTED.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    return ["\n".join(line[4:] for line in each.strip("\n").splitlines()) + "\n" for each in found]


def written(block):
    """Writes the block if its first line names a file. Hydra looks for a package in the first comments."""
    if (name := FILE.match(block)) is None:
        return None
    file = Path(name[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block[name.end() :], encoding="utf-8")
    return file


def commands(block):
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("paribus ")]


def smaller(block):
    for pattern, instead in SMALLER:
        block = re.sub(pattern, instead, block)
    return block


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
    for block in map(smaller, blocks(page)):
        if written(block) is None:
            for arguments in commands(block):
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
        for arguments in commands(block):
            quick = ["budget.epochs=1"] if arguments[0] in ("train", "table") else []
            done = paribus(*(word.replace("=NAME", "=name") for word in arguments), *quick)
            assert done.code == 0, (arguments, done.err)

"""docs/lightning.md: what it tells a reader to write and type works as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from paribus.base.extras import present
from paribus.store.store import Store

pytestmark = pytest.mark.needs("lightning")

PAGE = (Path(__file__).parents[1] / "docs" / "lightning.md").read_text(encoding="utf-8")
BLOCKS = [
    "\n".join(line[4:] for line in each.strip("\n").splitlines()) + "\n"
    for each in re.findall(r"(?:^    .*\n|^\n(?=    |\n    ))+", PAGE, re.MULTILINE)
]
COMMANDS = [shlex.split(line)[1:] for each in BLOCKS for line in each.splitlines() if line.startswith("paribus ")]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The files of the page, which say in their first line what they are called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        each.split("\n")[0].removeprefix("# "): each for each in BLOCKS if re.match(r"# [\w/]+\.(py|yaml)\n", each)
    }
    assert files.keys() == {"my/lit.py", "conf/task/mine.yaml", "conf/ablation/mine.yaml"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        # Hydra looks for a package in the first comments.
        (tmp_path / name).write_text(text.split("\n", 1)[1] if name.endswith(".yaml") else text)
    lines = sum(len(text.strip().splitlines()) - 1 for name, text in files.items() if name.endswith(".yaml"))
    assert lines <= 10, "a newcomer writes at most ten lines"
    return tmp_path


def test_the_page_from_a_module_to_a_table(project, paribus):
    said = {}
    for arguments in COMMANDS:
        done = paribus(*arguments)
        assert done.code == 0, (arguments, done.err)
        said[arguments[0]] = done.out + done.err
    if "stack" in present():
        assert "task=lightning: Lightning trains one module at a time" in said["plan"]
    assert re.search(r"\| 32 +\| .*\| +3 \|", said["table"])
    records = list(Store(project / "outputs").scan())
    assert {record.status for record in records} == {"done"}
    assert sum(record.ablation == "mine" for record in records) == 6


def test_every_flag_and_key_that_the_page_names_exists(project, paribus):
    done = paribus("train", "task=mine", "budget.epochs=1", "trainer.flags.max_epochs=3")
    assert (done.code, "Use budget.epochs" in done.err) == (2, True)

"""docs/data.md and data-source.md: what they tell a reader to write and type works as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in ("data.md", "data-source.md"))
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
FAST = ("budget.updates=2", "norm=none", "stack=off")


def block(begins):
    """The code block that begins with these words, without its margin."""
    [found] = [each for each in BLOCKS if each.strip().startswith(begins)]
    return "\n".join(line[4:] for line in found.strip("\n").splitlines()) + "\n"


def command(data):
    """The arguments of the command that the page gives for a data set."""
    [line] = re.findall(rf"`paribus (train data={data}\b[^`]*)`", PAGE)
    return shlex.split(line)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "conf" / "data").mkdir(parents=True)
    return tmp_path


def test_a_table(paribus, here):
    header, *rows = block("rooms,area").splitlines()
    kinds = [rows[k % 2].split(",") for k in range(120)]
    lines = [",".join([*row[:1], str(50 + k), *row[2:]]) for k, row in enumerate(kinds)]
    (here / "houses.csv").write_text("\n".join([header, *lines]) + "\n")
    done = paribus(*command("csv"), *FAST)
    assert done.code == 0, done.err
    (here / "conf/data/houses.yaml").write_text(block("# Which houses"))
    done = paribus("train", "data=houses", "model=mlp", "data.batch_size=8", *FAST)
    assert done.code == 0, done.err
    assert "test/acc" in done.err


def test_arrays(paribus, here):
    exec(compile(block("import numpy"), "docs/data.md", "exec"), {})
    done = paribus(*command("arrays"), *FAST)
    assert done.code == 0, done.err


def test_a_source_of_ones_own(paribus, here):
    (here / "mydata.py").write_text(block("import torch"))
    (here / "conf/data/sensors.yaml").write_text(block("# Made-up sensors"))
    done = paribus(*command("sensors"), *FAST)
    assert done.code == 0, done.err
    done = paribus("train", "data=sensors", "model=cnn", *FAST)
    assert done.code == 2
    assert "a cnn takes images of shape (channels, height, width)" in done.err


def test_the_tables_name_every_argument():
    """And nothing that no source takes."""
    from inspect import signature

    from paribus.datasets.table_files import CSV

    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    arguments = {*signature(CSV).parameters} - {"test_share", "test_seed"}  # in the row of `test`
    assert arguments <= named

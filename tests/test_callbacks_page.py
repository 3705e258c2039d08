"""docs/callbacks.md: what it tells a reader to write and type works as it stands there."""

import re
import shlex
import textwrap
from pathlib import Path

from paribus.base.lightning_hooks import EVERY_BATCH, REFUSED
from paribus.store.store import Store

PAGE = (Path(__file__).parents[1] / "docs" / "callbacks.md").read_text(encoding="utf-8")
CODE, COMMANDS = (textwrap.dedent(each) for each in re.findall(r"(?:^    .*\n|^\n(?=\n*    ))+", PAGE, re.MULTILINE))


def test_the_callbacks_of_the_page(paribus, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mycb.py").write_text(CODE)
    said = ""
    for line in COMMANDS.strip().splitlines():
        result = paribus(*shlex.split(line)[1:])
        assert result.code == 0, result.err
        said += result.out + result.err
    assert "largest gradient: " in said
    assert "acts on every batch (on_after_backward), so each training step makes one update" in said
    assert len({record.metrics["test/loss"] for record in Store(tmp_path / "outputs").scan()}) == 2


def test_the_tables_of_the_page():
    assert all(f"`{hook}" in PAGE for hook in EVERY_BATCH)
    refused = "".join(line for line in PAGE.splitlines() if "| refused" in line)
    names = {"ProgressBar", "BaseFinetuning", *REFUSED} - {"ModelPruning"}
    assert all(name in refused for name in names)

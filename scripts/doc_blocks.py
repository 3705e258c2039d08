"""Blocks of code in the pages of docs/: files to write, commands to type, and the same with small budgets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

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


def blocks(page: Path) -> list[str]:
    """The indented blocks of a page, without their margin."""
    found = INDENTED.findall(page.read_text(encoding="utf-8"))
    return ["\n".join(line[4:] for line in each.strip("\n").splitlines()) + "\n" for each in found]


def written(block: str, folder: Path) -> Path | None:
    """Writes the block if its first line names a file, without that line: Hydra looks for a package in the first
    comments."""
    if (name := FILE.match(block)) is None:
        return None
    file = folder / name[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block[name.end() :], encoding="utf-8")
    return file


def commands(block: str) -> list[list[str]]:
    """The words of each `paribus` command, behind `paribus`."""
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("paribus ")]


def smaller(block: str) -> str:
    for pattern, instead in SMALLER:
        block = re.sub(pattern, instead, block)
    return block

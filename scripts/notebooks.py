"""Executes notebooks/*.ipynb in place, each in an empty folder, and gives notebooks/zh/*.ipynb their code and pictures.

python scripts/notebooks.py                  all of them
python scripts/notebooks.py 1.3 --check      those whose name has 1.3; only execute, write nothing

Ends with exit code 1 at the first cell that fails. What is written can be compared line by line: ids of cells are
numbers, nothing says when or how long, and what went to the error stream is left out.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
SECONDS = 900  # for a cell


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of file names; all without any")
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    for path in sorted(FOLDER.glob("*.ipynb")):
        if asked.names and not any(name in path.name for name in asked.names):
            continue
        print(path.name, flush=True)
        try:
            made = executed(nbformat.read(path, as_version=4))
        except CellExecutionError as error:
            print(f"{path.name} fails: {error}", file=sys.stderr)
            return 1
        if not asked.check:
            write(made, path)
            twin = FOLDER / "zh" / path.name
            write(translated(made, nbformat.read(twin, as_version=4)), twin)
    return 0


def executed(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of a run of its own: one thread, no network, no folder but an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="offline", PYTHONWARNINGS="ignore")
        client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", record_timing=False,
                                resources={"metadata": {"path": folder}})  # fmt: skip
        client.execute()
    return tidied(notebook)


def tidied(notebook: NotebookNode) -> NotebookNode:
    """Without anything that changes from one execution to the next."""
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.nbformat_minor = 5
    number = 0
    for place, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{place:02d}", nbformat.from_dict({})
        if cell.cell_type == "code":
            number += 1
            cell.execution_count = number
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            for each in cell.outputs:
                if "execution_count" in each:
                    each.execution_count = number
                if "data" in each:
                    each.metadata = nbformat.from_dict({})
    return notebook


def translated(notebook: NotebookNode, twin: NotebookNode) -> NotebookNode:
    """The twin's text with the code and the outputs of the notebook.

    Raises ValueError where text and code do not alternate alike.
    """
    kinds = [[cell.cell_type for cell in each.cells] for each in (notebook, twin)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"both editions must have the same kinds of cells in the same order, got {kinds[0]} and {kinds[1]}"
        )
    made = copy.deepcopy(notebook)
    for cell, other in zip(made.cells, twin.cells, strict=True):
        if cell.cell_type == "markdown":
            cell.source = other.source
    return made


def write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    sys.exit(main())

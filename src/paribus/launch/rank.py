"""One rank of a run: `python -m paribus.launch.rank FOLDER`, started by `paribus.launch.ranks`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from paribus.cli.failure import guarded
from paribus.store.record import Record
from paribus.store.store import Store


def main() -> None:
    folder = Path(sys.argv[1])
    order = yaml.safe_load((folder / "ranks.yaml").read_text())
    from paribus.train.run import execute

    store = Store(Path(order["config"]["paths"]["outputs"]))
    execute(order["config"], Record(**order["record"]), store)


if __name__ == "__main__":
    sys.exit(guarded(main))

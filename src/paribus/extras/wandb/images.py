"""Our own figures in W&B: a run of the job type `figures` that logs them, which a report shows.

A report takes pictures from addresses that everybody can read, or from runs; the page of a run in a private project is
no such address. The forest holds the verdicts, which no panel of W&B can compute.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.extras.wandb.board import Board
from paribus.extras.wandb.limits import MAX_GROUP, MAX_NAME, shortened
from paribus.extras.wandb.sync import opened

JOB_TYPE = "figures"
FIGURE = "forest"


@dataclass(frozen=True)
class Images:
    """The pictures of an ablation.

    id: of their run. Other numbers make another run, so that an old report keeps what it showed.
    keys: the number of a board -> what its picture is logged as. Boards without two arms to compare have none.
    """

    name: str
    id: str
    keys: Mapping[int, str]
    job_type: str = JOB_TYPE

    def __str__(self) -> str:
        count = len(self.keys)
        return f"{count} picture{'s'[: count > 1]} in a run of {'its' if count == 1 else 'their'} own ({self.id})"

    @staticmethod
    def of(name: str, boards: Sequence[Board]) -> Images:
        digest = hashlib.sha256("\0".join([name, *(board.text for board in boards)]).encode()).hexdigest()
        numbers = [number for number, board in enumerate(boards) if board.differences]
        keys = {number: FIGURE if len(boards) == 1 else f"{FIGURE}_{number + 1}" for number in numbers}
        return Images(name, f"{JOB_TYPE}-{digest[:12]}", keys)


def upload(images: Images, boards: Sequence[Board], entity: str, project: str, wait: float) -> str:
    """Draw the pictures and log them; the address of their run. Raises what W&B raises.

    wait: seconds to wait for W&B to start, and again for what is uploaded.
    """
    import wandb

    from paribus.report.figures.catalogue import Missing, of_study
    from paribus.report.figures.saving import save

    with tempfile.TemporaryDirectory() as folder:
        logged: dict[str, Any] = {}
        for number, key in images.keys.items():
            [(_, drawn)] = of_study(boards[number].study, [FIGURE])
            assert not isinstance(drawn, Missing), drawn.reason
            [path] = [each for each in save(drawn, f"{folder}/{key}", ["png"]) if each.suffix == ".png"]
            logged[key] = wandb.Image(str(path), caption=boards[number].name)
        wandb.setup(wandb.Settings(silent=True))
        run = opened(
            f"{entity}/{project}/{images.id}",
            folder,
            wait,
            raises=True,
            name=shortened(f"Figures of {images.name}", MAX_NAME),
            group=shortened(images.name, MAX_GROUP),
            job_type=images.job_type,
        )
        run.log(logged)
        run.finish()
        return str(run.url)

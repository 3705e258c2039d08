"""Let Paribus train a project in lightning-hydra-template's layout: writes the few YAML files that this takes.

DIR is the folder of the project, of which no file is changed. OVERRIDES are those of its own training script, such as
data=cifar model=vit: what they choose becomes the default. docs/adopt.md
"""

from __future__ import annotations

from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.terminal import show

SECTION = "Begin"


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--config",
    "first_file",
    type=click.Path(path_type=Path),
    help="The first file of its configuration, where it is not found.",
)
@click.option("--module", metavar="SECTION", help="The section that makes the LightningModule, where it is not found.")
@click.option("--datamodule", metavar="SECTION", help="The same of the LightningDataModule.")
def command(
    folder: Path, overrides: tuple[str, ...], first_file: Path | None, module: str | None, datamodule: str | None
) -> None:
    from paribus.projects.adopt import adopt

    adopted = adopt(folder, overrides, first_file, module, datamodule)
    show(f"Written below {adopted.root}; no file of the project was changed:")
    folders: dict[str, list[str]] = {}
    for name in adopted.files:
        folder_of, _, file = name.rpartition("/")
        folders.setdefault(folder_of, []).append(file)
    for place, files in folders.items():
        show(f"  {place}/: {', '.join(files)}")
    if adopted.notes:
        show("\nNot translated, or translated otherwise:")
        for text in adopted.notes:
            show(f"- {text}")
    if adopted.ready is not None:
        show(f"\nPlease complete the files first. Paribus says: {adopted.ready}")
    show(f"\nNext, in {folder}:")
    lines = {"paribus train": "one run"}
    if f"conf/ablation/{adopted.name}.yaml" in adopted.files:
        lines[f"paribus plan ablation={adopted.name}"] = "the runs of a first ablation, which you may change"
    for line, says in lines.items():
        show(f"  {line:{max(map(len, lines))}}   # {says}")

"""Options that several commands have, and the file or terminal that -o means."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from paribus.base.errors import UserError
from paribus.base.terminal import say, show

SUFFIXES = {".md": "markdown", ".tex": "latex", ".html": "html", ".csv": "csv"}
FORMATS = click.Choice([*SUFFIXES.values(), "terminal"])
FORMAT = click.option(
    "--format",
    "form",
    type=FORMATS,
    help="The format (default: by the ending of -o, .md, .tex, .html or .csv; otherwise terminal, or markdown where "
    "the output is no terminal).",
)
OUTPUT = click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write to this file instead of the terminal."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs; see docs/json.md.")
_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".eps")


def format_of(form: str | None, output: str | None) -> str:
    """The format that --format or the ending of the file asks for. Where neither says one, a terminal gets what fits
    it, and all else Markdown.

    Raises click's UsageError for an ending that is none of the known ones, and where the two contradict each other.
    """
    suffix = Path(output).suffix.lower() if output else ""
    meant = SUFFIXES.get(suffix)
    if form is None and suffix and meant is None:
        raise click.UsageError(f"-o {output}: the ending must be {_listed(SUFFIXES)}. Or name the format with --format")
    if form is not None and meant is not None and form != meant:
        raise click.UsageError(
            f"--format {form}, and the ending of -o {output} means {meant}. Drop --format, or rename"
        )
    return form or meant or ("terminal" if output is None and sys.stdout.isatty() else "markdown")


def show_json(value: Any) -> None:
    """Plain values, for programs. Numbers that are not finite are null, since JSON has none."""
    show(json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def check_page(output: str) -> None:
    """Raises click's UsageError for a file whose ending says that it is no HTML."""
    if Path(output).suffix.lower() not in (".html", ".htm", ""):
        raise click.UsageError(f"-o {output}: a report is one HTML page. Name a file that ends in .html")


def check_folder(output: str | None) -> None:
    """Raises click's UsageError for a picture where a folder of pictures is asked for."""
    if output is not None and Path(output).suffix.lower() in _PICTURES:
        raise click.UsageError(f"-o {output}: pictures are written into a folder, as PNG and PDF. Name the folder")


def write(text: str, output: str | None, styled: bool = False) -> None:
    """Writes the result of a command to the file of -o, or to the terminal. Raises UserError where it can't.

    styled: what a terminal may obey in the text is ours, and all that comes from elsewhere has been through `plain`.
    """
    if output is None:
        show(text, end="", styled=styled)
        return
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error}. Choose another file with -o") from error
    say(str(path))


def _listed(suffixes: Mapping[str, str]) -> str:
    return ", ".join(f"{suffix} ({form})" for suffix, form in suffixes.items())

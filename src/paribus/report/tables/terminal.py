"""A sheet in a terminal, within its width: columns that do not fit are left out and named."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap

from paribus.base.terminal import plain
from paribus.report.tables.render import columns_of, numbered_notes, raised
from paribus.report.tables.sheet import Column, Entry, Sheet, aligned

NARROW = 18  # letters: words are not squeezed into less, as far as they are longer
READABLE = 100  # letters of a line of text
GAP = 3  # letters that rich counts for a column, besides its own


def terminal(sheet: Sheet, heading: bool = False, width: int | None = None) -> str:
    """The table, then its caption and footnotes. Bold where a terminal shows the text; nothing else has a style.

    width: in letters; default that of the terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = width or shutil.get_terminal_size((100, 24)).columns
    styled = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    found = [(column, _texts(column, entries)) for column, entries in columns_of(sheet)]
    least = [_least(column, texts) for column, texts in found]
    kept, dropped = list(range(len(found))), []
    while sum(least[k] for k in kept) + GAP * len(kept) > width + 1:
        last = max(kept, key=lambda k: (sheet.columns[k].rank, k))
        if sheet.columns[last].rank == 0:
            break
        kept.remove(last)
        dropped.append(last)
    widths, spare = dict(zip(kept, (least[k] for k in kept), strict=True)), width + 1
    spare -= sum(widths.values()) + GAP * len(kept)
    for k in kept:  # what is left goes to the first that want it
        wished = max(len(found[k][0].head), *map(len, found[k][1]), 1)
        more = min(max(spare, 0), max(wished - widths[k], 0))
        widths[k] += more
        spare -= more
    # What is always shown may need more than there is: the terminal breaks its lines then, and nothing is cut.
    needed = sum(widths.values()) + GAP * len(kept)
    written = io.StringIO()
    console = Console(
        file=written, width=max(width, needed), force_terminal=styled, highlight=False, markup=False, emoji=False
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="")
    for k, size in widths.items():
        column = sheet.columns[k]
        table.add_column(Text(plain(column.head)), justify="left" if column.words else "right", width=size)
    for number, row in enumerate(sheet.rows):
        texts = (found[k][1][number].rjust(0 if found[k][0].words else widths[k]) for k in kept)
        table.add_row(
            *(Text(t, "bold" if row[k].bold else "", justify="left") for k, t in zip(kept, texts, strict=True))
        )
    if heading:
        console.print(Text(plain(sheet.title), style="bold"), end="\n\n")
    console.print(table)
    notes = [sheet.caption, *(f"{raised((k,))} {note}".strip() for k, note in numbered_notes(sheet))]
    if dropped:
        names = ", ".join(sheet.columns[k].head for k in sorted(dropped))
        notes.insert(0, f"Left out in {width} letters: {names}. All are in --format markdown, and in files (-o).")
    for note in notes:
        console.print(Text(textwrap.fill(plain(note), min(width, READABLE))), end="\n\n")
    return "\n".join(line.rstrip() for line in written.getvalue().rstrip("\n").split("\n")) + "\n"


def _least(column: Column, texts: list[str]) -> int:
    """The least width in letters: that of numbers, and of the longest word."""
    longest = max(map(len, texts), default=0)
    if column.words:
        longest = max(min(NARROW, longest), *(len(word) for text in texts for word in text.split()), 0)
    return max(longest, *map(len, column.head.split()), 1)


def _texts(column: Column, entries: list[Entry]) -> list[str]:
    texts = [" ".join(part for part in (entry.text + raised(entry.marks), entry.rest) if part) for entry in entries]
    return [plain(text) for text in (texts if column.words else aligned(texts))]

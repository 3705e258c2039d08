"""A sheet as Markdown or HTML, and what all formats share."""

from __future__ import annotations

from collections.abc import Callable

from paribus.report import escape
from paribus.report.tables.sheet import NUMBER, Column, Entry, Sheet, aligned

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
FIGURE_SPACE = "\u2007"  # as wide as a digit


def markdown(sheet: Sheet, heading: bool = False) -> str:
    """A pipe table, then its caption and footnotes. Points stand below each other in the source."""

    def cell(entry: Entry) -> str:
        shown = escape.markdown(entry.text)
        shown = f"**{shown}**" if entry.bold and shown else shown
        return " ".join(part for part in (shown + raised(entry.marks), escape.markdown(entry.rest)) if part)

    columns = []
    for column, entries in columns_of(sheet):
        texts = [cell(entry) for entry in entries]
        texts = texts if column.words else aligned(texts)
        columns.append([escape.markdown(column.head), *texts])
    widths = [max(3, *map(len, column)) for column in columns]
    lines = [
        [t.ljust(w) if c.words else t.rjust(w) for t, w, c in zip(line, widths, sheet.columns, strict=True)]
        for line in zip(*columns, strict=True)
    ]
    rule = "|".join(
        "-" * (w + 2) if c.words else "-" * (w + 1) + ":" for w, c in zip(widths, sheet.columns, strict=True)
    )
    head, *rows = (f"| {' | '.join(line)} |" for line in lines)
    notes = [escape.markdown(sheet.caption)]
    notes += [f"{raised((k,))} {escape.markdown(note)}".strip() for k, note in numbered_notes(sheet)]
    title = [f"### {escape.markdown(sheet.title)}", ""] if heading else []
    return "\n".join([*title, head, f"|{rule}|", *rows, "", "\n\n".join(notes)]) + "\n"


def html(sheet: Sheet, heading: bool = False) -> str:
    """A <table> in a <figure>, with classes and no style of its own: words, number, note."""
    title = f"<h3>{escape.html(sheet.title)}</h3>\n" if heading else ""
    return (
        f'{title}<figure class="table">\n{html_table(sheet)}<figcaption>{html_notes(sheet)}</figcaption>\n</figure>\n'
    )


def html_table(
    sheet: Sheet,
    link: Callable[[int, Entry], str | None] = lambda row, entry: None,
    words: Callable[[str], str] = escape.html,
) -> str:
    """The table alone.

    Each number that comes from runs has their ids in data-runs. Figure spaces align the points, for right-aligned
    cells with tabular numerals.

    link: where an entry of a row leads, if anywhere. words: the HTML of a text, such as the name of an arm.
    """

    def cell(row: int, entry: Entry, text: str, column: Column) -> str:
        runs = f' data-runs="{escape.html(" ".join(entry.runs))}"' if entry.runs else ""
        tag = "strong" if entry.bold else "span"
        shown = f"<{tag}>{(words if column.words else escape.html)(text)}</{tag}>" if text else ""
        marks = f"<sup>{','.join(map(str, entry.marks))}</sup>" if entry.marks else ""
        rest = f' <span class="rest">{escape.html(entry.rest)}</span>' if entry.rest else ""
        inside = f"{shown}{marks}{rest}"
        if inside and (where := link(row, entry)):
            inside = f'<a href="{escape.html(where)}">{inside}</a>'
        return f'<td class="{"words" if column.words else "number"}"{runs}>{inside}</td>'

    columns = []
    for column, entries in columns_of(sheet):
        texts = [entry.text for entry in entries]
        if not column.words:
            padded = aligned([text if NUMBER.fullmatch(text) else "" for text in texts], FIGURE_SPACE)
            texts = [a.lstrip(FIGURE_SPACE) if NUMBER.fullmatch(t) else t for a, t in zip(padded, texts, strict=True)]
        pairs = enumerate(zip(entries, texts, strict=True))
        columns.append([cell(row, entry, text, column) for row, (entry, text) in pairs])
    kinds = ["words" if column.words else "number" for column in sheet.columns]
    head = "".join(
        f'<th scope="col" class="{kind}">{_glued(escape.html(column.head))}</th>'
        for kind, column in zip(kinds, sheet.columns, strict=True)
    )
    rows = "\n".join(f"<tr>{''.join(line)}</tr>" for line in zip(*columns, strict=True))
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"


def _glued(head: str) -> str:
    """An arrow never begins a line."""
    return head.replace(" ↑", "\u00a0↑").replace(" ↓", "\u00a0↓")


def html_notes(sheet: Sheet) -> str:
    """Caption and footnotes."""
    notes = [f"<p>{escape.html(sheet.caption)}</p>"]
    notes += [f'<p class="note"><sup>{k or ""}</sup> {escape.html(note)}</p>' for k, note in numbered_notes(sheet)]
    return "\n".join(notes)


def columns_of(sheet: Sheet) -> list[tuple[Column, list[Entry]]]:
    """Each column with its entries."""
    return [(column, [row[k] for row in sheet.rows]) for k, column in enumerate(sheet.columns)]


def follows(column: Column, entries: list[Entry]) -> bool:
    """Whether LaTeX has a second column for what follows the numbers."""
    return not column.words and any(entry.rest or (entry.marks and entry.number) for entry in entries)


def numbered_notes(sheet: Sheet) -> list[tuple[int, str]]:
    """Footnotes with their numbers; 0 for those that belong to no entry."""
    used = {mark for row in sheet.rows for entry in row for mark in entry.marks}
    return [(k if k in used else 0, note) for k, note in enumerate(sheet.notes, start=1)]


def raised(marks: tuple[int, ...]) -> str:
    return " ".join(str(mark) for mark in marks if mark).translate(_SUPERSCRIPTS)

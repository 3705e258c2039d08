"""A sheet as Markdown, LaTeX (booktabs, siunitx) or HTML."""

from __future__ import annotations

import re
from collections.abc import Callable

from paribus.report import escape
from paribus.report.tables.sheet import NUMBER, Column, Entry, Sheet, aligned

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
WIDE = 36  # letters in a column of words, above which LaTeX breaks them into lines
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


def latex(sheet: Sheet, heading: bool = False) -> str:
    r"""A table environment for \usepackage{booktabs,siunitx,graphicx}.

    Numbers stand in S columns, at their point; what follows them in a column of its own. A table that is wider than
    the line is made as wide as that.
    """
    preamble: list[str] = []
    head: list[str] = []
    body: list[list[str]] = [[] for _ in sheet.rows]
    for column, entries in columns_of(sheet):
        if column.words:
            wide = max((len(entry.text) for entry in entries), default=0) > WIDE
            preamble.append(rf">{{\raggedright\arraybackslash}}p{{{WIDE // 2}em}}" if wide else "l")
            head.append(_head(column.head, "l"))
            for line, entry in zip(body, entries, strict=True):
                line.append(_words(entry))
            continue
        two = follows(column, entries)
        preamble.append(f"S[table-format={_format(entries)}]")
        preamble += [r"@{\,}l"] if two else []
        head.append(rf"\multicolumn{{{2 if two else 1}}}{{c}}{{{_head(column.head, 'c')}}}")
        for line, entry in zip(body, entries, strict=True):
            line.append(_number(entry))
            if two:
                line.append(escape.latex(entry.rest) + (_up(entry.marks) if entry.number else ""))
    caption = escape.latex(sheet.caption)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        rf"  \label{{tab:{sheet.label}}}",
        r"  \par\medskip",
        r"  \sisetup{detect-weight, retain-explicit-plus, group-digits=integer,",
        r"    group-minimum-digits=4, group-separator={,}}",
        r"  \sbox0{%",
        rf"  \begin{{tabular}}{{@{{}}{' '.join(preamble)}@{{}}}}",
        r"    \toprule",
        rf"    {' & '.join(head)} \\",
        r"    \midrule",
        *(rf"    {' & '.join(line)} \\" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}}%",
        r"  \ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        *(
            rf"  \par\smallskip{{\raggedright\footnotesize {_up((k,)) if k else ''}{escape.latex(note)}\par}}"
            for k, note in numbered_notes(sheet)
        ),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


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


def _up(marks: tuple[int, ...]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, marks))}}}" if marks else ""


def _head(head: str, side: str) -> str:
    """On several lines where it is long: a column is as wide as its numbers, not as its name."""
    lines: list[str] = []
    for word in escape.plain(head).split():
        if lines and len(lines[-1]) + len(word) < 14:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) < 2:
        return escape.latex(head)
    stacked = r"\\".join(map(escape.latex, lines))
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{stacked}\end{{tabular}}"


def _words(entry: Entry) -> str:
    text = escape.latex(entry.text)
    text = rf"\textbf{{{text}}}" if entry.bold and text else text
    return f"{text}{_up(entry.marks)} {escape.latex(entry.rest)}".rstrip()


def _number(entry: Entry) -> str:
    """For an S column: a number as siunitx reads it, all else in braces."""
    if not entry.number or "e" in entry.text:
        return f"{{{_words(Entry(entry.text, bold=entry.bold, marks=entry.marks))}}}"
    digits = entry.text.replace(",", "").replace("−", "-").replace(" ", "")
    return (r"\bfseries " if entry.bold else "") + digits


def _format(entries: list[Entry]) -> str:
    """siunitx's table-format that holds all numbers of a column: <+2.3."""
    numbers = [entry.text.replace(",", "") for entry in entries if entry.number and "e" not in entry.text]
    if not numbers:
        return "1.0"
    places = max((len(text.partition(".")[2]) for text in numbers), default=0)
    whole = max(len(re.sub(r"\D", "", text.partition(".")[0])) for text in numbers)
    sign = "+" if any("+" in text for text in numbers) else "-" if any("−" in text for text in numbers) else ""
    less = "<" if any("<" in text for text in numbers) else ""
    return f"{less}{sign}{whole}.{places}" if places else f"{less}{sign}{whole}.0"

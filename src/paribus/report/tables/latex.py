r"""A sheet as a table of a paper: as wide as a column of two, in type of 8 or 7 points, its numbers at their point.

A column that matters least is left out, and said, before type gets smaller than 7 points. Nothing is scaled.
"""

from __future__ import annotations

import re
from dataclasses import replace

from paribus.report import escape
from paribus.report.tables.render import columns_of, follows, numbered_notes
from paribus.report.tables.sheet import Column, Entry, Sheet

WIDTHS = {"column": 234.0, "full": 487.0}  # points: of the two columns of ICML's and CVPR's pages, and of both
MOST = {"column": 5, "full": 9}  # columns, where nobody has asked for more
SIZES = {r"\footnotesize": 8, r"\scriptsize": 7}  # points, in a document of 10
_LETTER = 0.53  # of the size of the type: a digit is as wide as that, and letters are in the mean
_GAP = 6.0  # points between columns
_NARROW = 12  # letters: words are broken into lines no shorter than that
# Red, green and blue of the worst and of the best of a grid: one hue, and light enough for black letters.
_PALE, _STRONG = (247, 251, 255), (107, 174, 214)
SHADED = "The darker, the better, from the worst to the best of this table."


def latex(sheet: Sheet, heading: bool = False, width: str = "column", notes: bool = True, heat: bool = False) -> str:
    r"""A table environment for \usepackage{booktabs,siunitx}; `table*` where it is wider than a column.

    width: column or full. notes: whether what a caption of two lines does not hold stands below. heat: whether a grid's
    numbers are shaded, which needs \usepackage[table]{xcolor}.
    """
    shown, dropped = fitting(sheet, width)
    wide = width == "full" or _points(shown, 7, narrow=True) > WIDTHS["column"]
    room = WIDTHS["full" if wide else "column"]
    size = next((name for name, points in SIZES.items() if _points(shown, points) <= room), r"\scriptsize")
    environment = "table*" if wide else "table"
    lines = [
        rf"\begin{{{environment}}}",
        r"  \centering",
        rf"  \caption{{{escape.latex(sheet.short or sheet.caption)}}}",
        rf"  \label{{tab:{sheet.label}}}",
        rf"  {size}\setlength{{\tabcolsep}}{{{_GAP / 2:g}pt}}%",
        r"  \sisetup{detect-weight, retain-explicit-plus, group-digits=integer,",
        r"    group-minimum-digits=4, group-separator={,}}%",
        *(f"  {line}" for line in _tabular(shown, room, SIZES[size], heat)),
    ]
    if notes:
        lines += [
            rf"  \par\smallskip{{\raggedright\scriptsize {note}\par}}" for note in notes_of(sheet, dropped, heat=heat)
        ]
    return "\n".join([*lines, rf"\end{{{environment}}}"]) + "\n"


def notes_of(sheet: Sheet, dropped: list[Column] | None = None, width: str = "column", heat: bool = False) -> list[str]:
    """What stands below the table, each a paragraph: the long caption, what its shades mean, footnotes, and what was
    left out.

    dropped: default what is too wide for `width`.
    """
    dropped = fitting(sheet, width)[1] if dropped is None else dropped
    said = [escape.latex(sheet.caption)] if sheet.short else []
    said += [SHADED] if heat and has_shades(sheet) else []
    for column, entries in columns_of(sheet):
        if column in dropped and column.noted:
            pairs = zip(sheet.rows, entries, strict=True)
            said += [escape.latex(f"{row[0].text}: {entry.text}.") for row, entry in pairs if entry.text]
    said += [f"{_up((k,)) if k else ''}{escape.latex(note)}" for k, note in numbered_notes(sheet)]
    if names := [column.head for column in dropped if not column.noted]:
        said.append(escape.latex(f"Not shown: {', '.join(names)}."))
    return said


def fitting(sheet: Sheet, width: str = "column") -> tuple[Sheet, list[Column]]:
    """The sheet without the columns that matter least, until it fits; and these columns. Those of rank 1, such as the
    levels of a grid, stay on paper: what is wider than a column with them takes both."""
    dropped: list[Column] = []
    while True:
        at = [k for k, column in enumerate(sheet.columns) if column.rank > 1]
        wide = len(sheet.columns) > MOST[width] or _points(sheet, 7, narrow=True) > WIDTHS[width]
        if not wide or not at:
            return sheet, dropped
        last = max(at, key=lambda k: (sheet.columns[k].rank, k))
        dropped.insert(0, sheet.columns[last])
        rows = [[entry for k, entry in enumerate(row) if k != last] for row in sheet.rows]
        sheet = replace(sheet, columns=[c for k, c in enumerate(sheet.columns) if k != last], rows=rows)


def _letters(column: Column, entries: list[Entry], narrow: bool) -> int:
    """The width of a column in letters. narrow: words are broken into lines."""
    texts = [" ".join(part for part in (entry.text, entry.rest) if part) for entry in entries]
    longest = max(map(len, texts), default=0)
    if column.words and narrow:
        longest = min(longest, max(_NARROW, *(len(word) for text in texts for word in text.split()), 0))
    return max(longest, *map(len, _stacked(column.head)), 1)


def _points(sheet: Sheet, size: int, narrow: bool = False) -> float:
    letters = sum(_letters(*each, narrow) for each in columns_of(sheet))
    return letters * _LETTER * size + _GAP * (len(sheet.columns) - 1)


def has_shades(sheet: Sheet) -> bool:
    """Whether any of its entries can be shaded."""
    return any(map(_shaded, sheet.rows))


def fields(sheet: Sheet, heat: bool = False) -> list[str]:
    """The heads of what stands between LaTeX's ampersands: a number and what follows it are two, unless shaded."""
    return [
        column.head
        for column, entries in columns_of(sheet)
        for _ in range(2 if follows(column, entries) and not (heat and _shaded(entries)) else 1)
    ]


def _shaded(entries: list[Entry]) -> bool:
    return any(entry.shade is not None for entry in entries)


def _tabular(sheet: Sheet, room: float, size: int, heat: bool) -> list[str]:
    broken: set[int] = set()  # columns of words that are broken into lines, the longest first
    sizes = [_letters(*each, narrow=False) for each in columns_of(sheet)]
    least = [_letters(*each, narrow=True) for each in columns_of(sheet)]
    over = _points(sheet, size) - room
    for k in sorted(range(len(sizes)), key=lambda k: least[k] - sizes[k]):
        if over > 0 and least[k] < sizes[k]:
            gain = min(sizes[k] - least[k], int(over / (_LETTER * size)) + 1)
            broken.add(k)
            sizes[k] -= gain
            over -= gain * _LETTER * size
    preamble: list[str] = []
    head: list[str] = []
    body: list[list[str]] = [[] for _ in sheet.rows]
    for k, (column, entries) in enumerate(columns_of(sheet)):
        if column.words:
            points = sizes[k] * _LETTER * size
            preamble.append(rf">{{\raggedright\arraybackslash}}p{{{points:.0f}pt}}" if k in broken else "l")
            head.append(_head(column.head, "l"))
            for line, entry in zip(body, entries, strict=True):
                line.append(_words(entry))
            continue
        if heat and _shaded(entries):
            preamble.append("c")
            head.append(_head(column.head, "c"))
            for line, entry in zip(body, entries, strict=True):
                line.append(_color(entry.shade) + _words(entry))
            continue
        two = follows(column, entries)
        preamble.append(f"S[table-format={_format(entries)}]")
        preamble += [r"@{\,}l"] if two else []
        head.append(rf"\multicolumn{{{2 if two else 1}}}{{c}}{{{_head(column.head, 'c')}}}")
        for line, entry in zip(body, entries, strict=True):
            line.append(_number(entry))
            if two:
                line.append(escape.latex(entry.rest) + (_up(entry.marks) if entry.number else ""))
    last_is_shaded = heat and _shaded([row[-1] for row in sheet.rows])
    return [
        rf"\begin{{tabular}}{{@{{}}{' '.join(preamble)}{'' if last_is_shaded else '@{}'}}}",  # rules as wide as shades
        r"  \toprule",
        rf"  {' & '.join(head)} \\",
        r"  \midrule",
        *(rf"  {' & '.join(line)} \\" for line in body),
        r"  \bottomrule",
        r"\end{tabular}",
    ]


def _color(shade: float | None) -> str:
    if shade is None:
        return ""
    parts = (round(pale + shade * (strong - pale)) for pale, strong in zip(_PALE, _STRONG, strict=True))
    return rf"\cellcolor[RGB]{{{','.join(map(str, parts))}}}"


def _up(marks: tuple[int, ...]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, marks))}}}" if marks else ""


def _stacked(head: str) -> list[str]:
    """A head in lines: a column is as wide as its numbers, not as its name."""
    lines: list[str] = []
    for word in escape.plain(head).split():
        if lines and len(lines[-1]) + len(word) < 14:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _head(head: str, side: str) -> str:
    lines = _stacked(head)
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

"""Verification of a paper: the numbers of a generated table are compared with the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.ablation.cells import Read
from paribus.evidence.arms import ReportError
from paribus.evidence.targets import Histories
from paribus.report.tables.latex import fields, fitting, latex
from paribus.report.tables.render import html, markdown
from paribus.report.tables.source import absent, build
from paribus.report.tables.trace import SUFFIX, Region, regions
from paribus.store.history import HistoryError

_TOKEN = re.compile(
    r"[+−-]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:e[+−-]?\d+)?|SUPPORTED|NEGLIGIBLE|REVERSED|POSITIVE|REFUTED|INCONCLUSIVE|CONDITIONAL|\bbaseline\b"
)


@dataclass
class Checked:
    """A table of a document. title: of the table that the records make. drift: what is wrong; notices: what was not
    checked. numbers: how many were compared."""

    line: int
    title: str
    numbers: int = 0
    drift: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def verify(
    document: str, read: Read, histories: Histories | None = None, traces: Mapping[str, Any] | None = None
) -> list[Checked]:
    """Makes every generated table of a document again and compares it, number by number.

    document: LaTeX, Markdown or HTML. Rows may stand in another order, spaces and line breaks differ, and arms may have
    been renamed if no row was added or taken. The words of a caption may be changed; its numbers are then no longer
    checked, which is a notice. histories: of runs, which tables of times to targets are made from. traces: what the
    keys in comments stand for.

    Raises ReportError where the comments of one are damaged.
    """
    return [_check(region, read, histories) for region in regions(document, traces)]


def _check(region: Region, read: Read, histories: Histories | None) -> Checked:
    result, source = Checked(region.line, "?"), region.source
    if isinstance(source, str):
        result.drift.append(f"what it is made from, {source}, is in no file *{SUFFIX} beside the document. Put the one "
                            "that `paribus table -o` wrote there, or write the table again")  # fmt: skip
        return result
    try:
        plans = source["plans"]
        result.title = str(plans[0]["name"]) if plans else "?"
        if lost := absent(source, read):
            shown = ", ".join(f"{id} ({arm})" for arm, id in lost[:3])
            more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
            result.drift.append(f"{len(lost)} of its runs have no record: {shown}{more}")
            return result
        sheet = build(source, read, histories)
    except (ReportError, HistoryError) as error:
        result.drift.append(f"this table can't be made from the records any more: {error}")
        return result
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
        result.drift.append(f"its comment is damaged or of another version ({error!r}). Write the table again")
        return result
    result.title = sheet.title
    form: Callable[..., str] = latex if region.form == "latex" else html if "<table" in region.text else markdown
    split = {latex: _latex, html: _html, markdown: _markdown}[form]
    theirs, words = split(region.text)
    width = source.get("width", "column")
    heat = bool(source.get("heat", False))
    layout = {"width": width, "heat": heat} if form is latex else {}
    ours, own_words = split(form(sheet, **layout))
    heads = [column.head for column in sheet.columns]
    if form is latex:
        fitted, _ = fitting(sheet, width)
        heads = fields(fitted, heat)
    _compare_rows(theirs, ours, heads, result)
    _compare_words(words, own_words, result)
    return result


def _compare_rows(theirs: list[list[str]], ours: list[list[str]], heads: Sequence[str], result: Checked) -> None:
    rest = list(theirs)
    pairs: list[tuple[list[str], list[str] | None]] = []
    for row in ours:
        same = next((each for each in rest if _name(each) == _name(row)), None)
        if same is not None:
            rest.remove(same)
        pairs.append((row, same))
    if sum(same is None for _, same in pairs) == len(rest):  # renamed: in their order
        renamed = iter(rest)
        pairs = [(row, same if same is not None else next(renamed)) for row, same in pairs]
        rest = []
    result.drift += [f"row {_name(row)!r} is not in the table that the records give" for row in rest]
    for row, same in pairs:
        if same is None:
            result.drift.append(f"row {_name(row)!r} is missing")
        elif len(same) != len(row):
            result.drift.append(
                f"row {_name(same)!r} has {len(same)} columns, but the records give {len(row)}. "
                "Choose them with --columns"
            )
        else:
            for head, said, right in list(zip(heads, same, row, strict=True))[1:]:
                _compare_tokens(said, right, f"row {_name(same)!r}, column {head!r}", result)


def _compare_tokens(said: str, right: str, where: str, result: Checked) -> None:
    ours, theirs = _tokens(right), _tokens(said)
    result.numbers += len(ours)
    if len(ours) != len(theirs):
        result.drift.append(
            f"{where}: says {' '.join(theirs) or 'nothing'}, the records say {' '.join(ours) or 'nothing'}"
        )
        return
    for a, b in zip(theirs, ours, strict=True):
        if a != b:
            result.drift.append(f"{where}: says {a}, the records say {b}")
    bold, own = (re.search(r"\\bfseries|\\textbf|\*\*|<strong>", text) is not None for text in (said, right))
    if bold != own:
        result.drift.append(f"{where}: {'is' if bold else 'is not'} bold, and the records "
                            f"{'do not support it' if bold else 'say it is'}")  # fmt: skip


def _compare_words(theirs: Sequence[str], ours: Sequence[str], result: Checked) -> None:
    """Caption and notes: their numbers, where the words are still ours."""
    known = {_skeleton(text): text for text in theirs}
    for text in ours:
        said = known.get(_skeleton(text))
        if said is None:
            result.notices.append(f"reworded, so its numbers are not checked: {_plain(text)[:60]}...")
            continue
        a, b = _tokens(said), _tokens(text)
        result.numbers += len(b)
        result.drift += [
            f"caption or note: says {x}, the records say {y} ({_near(text, y)})"
            for x, y in zip(a, b, strict=True)
            if x != y
        ]


def _near(text: str, token: str) -> str:
    k = max(0, _plain(text).find(token))
    return f"...{_plain(text)[max(0, k - 25) : k + 25]}..."


def _tokens(text: str) -> list[str]:
    bare = re.sub(r"\$([+−-])\$", r"\1", text).replace("−", "-").replace("\u2007", "")
    bare = re.sub(r"\\cellcolor\[RGB\]\{[^}]*\}", "", bare)
    bare = re.sub(r"\\textsuperscript\{[^}]*\}|<sup>.*?</sup>|data-runs=\"[^\"]*\"|&#?\w+;", " ", bare)
    return [token.replace(",", "").lstrip("+") for token in _TOKEN.findall(bare.replace("$", ""))]


def _skeleton(text: str) -> str:
    return re.sub(r"\s+", "", _TOKEN.sub("#", text.replace("−", "-")))


def _plain(text: str) -> str:
    """Without markup, for messages."""
    text = re.sub(r"\\text(en|em)dash\{\}", "–", re.sub(r"<[^>]*>", "", text))
    return re.sub(r"\s+", " ", re.sub(r"[{}\\*]|textbf|textsuperscript", "", text)).strip()


def _name(row: Sequence[str]) -> str:
    bare = re.sub(r"\\textsuperscript\{[^}]*\}|<sup>.*?</sup>|[ ⁰¹²³⁴⁵⁶⁷⁸⁹]+$", "", row[0])
    return _plain(bare)


def _latex(text: str) -> tuple[list[list[str]], list[str]]:
    """The cells of the rows, and the texts beside them."""
    body = re.search(r"\\midrule(.*?)\\bottomrule", text, re.DOTALL)
    inner = re.sub(r"(?m)(?<!\\)%.*$", "", body.group(1)) if body else ""
    rows = [re.split(r"(?<!\\)&", row) for row in re.split(r"\\\\(?:\[[^\]]*\])?", inner) if row.strip()]
    words = re.findall(r"(?m)^\s*\\caption\{(.*)\}\s*$", text)
    words += re.findall(r"\\(?:footnotesize|scriptsize) (.*)\\par\}", text)
    return [[cell.strip() for cell in row] for row in rows], words


def _markdown(text: str) -> tuple[list[list[str]], list[str]]:
    for name, sign in (("lt", "<"), ("gt", ">"), ("amp", "&")):  # all were written by their names once
        text = text.replace(f"&{name};", sign)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return rows[2:], [line for line in lines if not line.startswith(("|", "#"))]


def _html(text: str) -> tuple[list[list[str]], list[str]]:
    rows = [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    ]
    return [row for row in rows if row], re.findall(r"<p[^>]*>(.*?)</p>", text, re.DOTALL)

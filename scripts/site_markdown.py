"""From GitHub's Markdown, in which the documents are written, to that of the site; formulas as MathML.

Python-Markdown wants an empty line before a list and four spaces before a nested one. Indented code gets a language,
and code that begins with the name of its file gets it as its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from latex2mathml.converter import convert

ITEM = re.compile(r"( *)([-*]|\d+\.) ")
TITLE = re.compile(r"# ([\w./-]+\.(?:py|yaml))$")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)
# In notebooks: code, which is left alone, or a formula.
IN_NOTEBOOK = re.compile(r"<(pre|code|script|style)\b.*?</\1>|\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])", re.S)
FROM_ELSEWHERE = re.compile(r'<script[^>]*\bsrc="https?:.*?</script>', re.S)


def python_markdown(text: str) -> str:
    return "\n".join(_lines(text.splitlines())) + "\n"


def _lines(lines: list[str]) -> Iterator[str]:
    before, fenced, listed, place = "", False, False, 0
    while place < len(lines):
        line = lines[place]
        if line.startswith("```"):
            fenced = not fenced
        if fenced or line.startswith("```"):
            yield line
        elif line.startswith("    ") and not listed and (not before.strip() or before.startswith("#")):
            block = _block(lines[place:])
            yield from _code(block)
            place += len(block) - 1
        else:
            item = ITEM.match(line)
            if item and before.strip() and not listed:
                yield ""
            if item and item[1]:
                line = "    " + line.lstrip()
            yield line
            goes_on = not line.strip() or line.startswith(" ") or bool(before.strip())
            listed = bool(item) or (listed and goes_on and not line.startswith("#"))
        before, place = line, place + 1


def _block(lines: list[str]) -> list[str]:
    """The indented lines at the beginning, with empty ones between them."""
    end = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("    ")), len(lines))
    while not lines[end - 1].strip():
        end -= 1
    return lines[:end]


def _code(block: list[str]) -> Iterator[str]:
    """As a fenced block with its language, and the file that its first line names as its title."""
    code = [line[4:] for line in block]
    title = TITLE.match(code[0])
    if title and len(code) > 1:
        code = code[1:]
    yield ""
    yield f"```{_language(code, title[1] if title else '')}" + (f' title="{title[1]}"' if title else "")
    yield from code
    yield "```"
    yield ""


def _language(code: list[str], file: str) -> str:
    first = next(line for line in code if line.strip())
    if file.endswith(".py") or re.match(r"(import|from) |class |def ", first):
        return "python"
    if re.match(r"(paribus|make|pip|cd|export|source|sbatch|python|\.venv/bin/\S+) ", first):
        return "bash"
    if file.endswith(".yaml") or re.match(r"# (@|\w)|(- )?\{?[\w.]+:( |$)|_target_:|- \{", first):
        return "yaml"
    return "text"


def mathml(html: str, notebook: bool = False) -> str:
    """The page with MathML in place of formulas in TeX, and without scripts that come from elsewhere."""
    html = FORMULA.sub(lambda found: _formula(found[2], block=found[1] == "div"), html)
    if notebook:
        html = IN_NOTEBOOK.sub(_in_notebook, FROM_ELSEWHERE.sub("", html))
    return html


def _in_notebook(found: re.Match[str]) -> str:
    if found[1]:
        return found[0]
    return _formula(found[2] or found[3], block=found[2] is not None)


def _formula(tex: str, block: bool) -> str:
    return convert(unescape(tex).strip(), display="block" if block else "inline")

"""MkDocs hooks: what the site has beyond docs/. `make site` builds it.

Root documents, notebooks and the generated reference become pages. Links to files that are no pages become text, and
formulas become MathML, so the site needs neither a repository's address nor a script from elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.arithmatex import arithmatex_fenced_format
from pymdownx.slugs import slugify
from site_markdown import mathml, python_markdown
from site_reference import API, CONFIGURATION, option_page, pages

from paribus.notes.pages.report import report
from paribus.report.packed import Shipped

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("AGENTS.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "RESULTS.md")
# Where links to these lead.
STARTS = {"README.md": "index.md", "README.zh.md": "zh/index.md", "docs/internals": "ARCHITECTURE.md"}
KEY = re.compile(r"(<td[^>]*><code>)([\w.]+|-[^<]*)</code>")
REPORT = re.compile(r"<!-- report: (\w+) -->")  # only the site has these pages
ARGUMENT = re.compile(r"\n(?=[a-z_, ]+: )")  # of a function, in its docstring
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Names of headings as GitHub has them, and blocks of math."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    formula = {"name": "math", "class": "arithmatex", "format": arithmatex_fenced_format(mode="generic", tag="div")}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [formula]}
    return config


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    notebooks = [path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb")]
    for name in (*DOCUMENTS, *notebooks):
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    shipped = Shipped.read(ROOT / "results" / "records.json.xz")
    for name in shipped.plans:
        files.append(File.generated(config, f"results/reports/{name}.html", content=report(shipped, name)))
    names = sorted(file.src_uri for file in files)
    config.nav = list(filled(config.nav, names))
    return files


def filled(entries: list[Any], names: list[str]) -> Iterator[Any]:
    """The navigation, with the pages of a folder in place of folder/*."""
    for entry in entries:
        if isinstance(entry, dict):
            yield {
                title: list(filled(below, names)) if isinstance(below, list) else below
                for title, below in entry.items()
            }
        elif entry.endswith("/*"):
            folder = PurePosixPath(entry).parent
            found = [
                name for name in names if PurePosixPath(name).parent == folder and name.endswith((".md", ".ipynb"))
            ]
            yield from sorted(found, key=lambda name: not name.endswith("/index.md"))  # that of the folder first
        else:
            yield entry


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri.endswith(".ipynb"):
        return markdown  # mkdocs-jupyter reads the file
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]
    markdown = re.sub(r"\A<!--.*?-->\s*", "", markdown)  # so that the page begins with its title
    markdown = REPORT.sub(r"[The interactive report](../reports/\1.html): curves, tuning, every run.", markdown)
    return python_markdown(LINK.sub(lambda link: linked(link, page.file.src_uri, files), markdown))


def linked(link: re.Match[str], page: str, files: Files) -> str:
    """The link as one of the site, or its text alone if it leads to a file that is no page."""
    picture, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    if ":" in target:
        return link[0]
    here = PurePosixPath(page if page in DOCUMENTS else f"docs/{page}").parent
    place = os.path.normpath(here / target).replace(os.sep, "/")
    if not (ROOT / place).exists():
        return link[0]  # a generated page, or a mistake that the strict build finds
    name, option = page_of(place)
    file = files.get_file_from_path(name)
    if file is None:
        return f"`{place}`" if text.strip("`/") == place else f"{text} (`{place}`)"
    if text.endswith(".md"):
        text = title(file)
    return f"{picture}[{text}]({os.path.relpath(name, PurePosixPath(page).parent)}{option or anchor})"


def title(file: File) -> str:
    """The first heading of a page, as the text of a link."""
    return re.search(r"^# (.+)$", file.content_string, re.MULTILINE)[1]


def page_of(place: str) -> tuple[str, str]:
    """(page, anchor) of the site for a path of the project."""
    if place in STARTS:
        return STARTS[place], ""
    if place == "conf/train.yaml":
        return CONFIGURATION, ""
    if option := re.fullmatch(r"conf/(.+)/(\w+)\.yaml", place):
        return option_page(option[1]), f"#{option[2]}"
    return place.removeprefix("docs/"), ""


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri == API:
        html = ARGUMENT.sub("<br>", html)
    return mathml(KEY.sub(breakable, html), notebook=page.file.src_uri.endswith(".ipynb"))


def breakable(key: re.Match[str]) -> str:
    """A key or an option in a table, which may be broken where its parts begin."""
    return f"{key[1]}{re.sub(r'(?<=[.|])|(?=_)', '<wbr>', key[2])}</code>"

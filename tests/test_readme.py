"""The documents: README.md and README.zh.md say the same; the links, commands and files that any page names exist."""

import re
from collections import Counter
from pathlib import Path

import pytest
import system

ROOT = Path(__file__).parents[1]
EDITIONS = ["README.md", "README.zh.md"]
SOURCE = ROOT / "src" / "paribus"
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
REMARK = re.compile(r"(?<=\S)\s{2,}\S.*|^\s*# (?!@).*")  # in a block of code: what may be translated
TOKENS = re.compile(r"\]\([^)]+\)|`[^`]+`|\d+(?:[.,]\d+)*|^#+|\|", re.MULTILINE)  # links, code, numbers, levels, cells
KINDS = {"#": "heading", "|": "table", ">": "quote", "!": "image", " ": "code"}  # by the first character of a line
whole = pytest.mark.needs(*system.EXTRAS)  # pages speak of all extras


def blocks(name):
    """(kind, lines) of each heading, table, quote, image, code block and paragraph, in order."""
    found = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        kind = KINDS.get(line[:1], "paragraph") if line.strip() else "gap"
        if found and (kind == found[-1][0] or (kind == "gap" and found[-1][0] == "code")) and kind != "heading":
            found[-1][1].append(line)
        else:
            found.append((kind, [line]))
    return [(kind, lines) for kind, lines in found if kind != "gap"]


def kept(kind, lines):
    """What a translation keeps: of code and tables line by line, of everything else block by block."""
    if kind == "code":
        return [[REMARK.sub(" #", line)] for line in lines if line.strip()]
    parts = lines if kind == "table" else ["\n".join(lines)]
    return [
        sorted(" ".join(token.split()) for token in TOKENS.findall(part.replace("README.zh.md", "README.md")))
        for part in parts
    ]


def differences(ours, theirs):
    """One line for each line or block of which the two editions keep something else."""
    for (kind, lines), (_, others) in zip(ours, theirs, strict=False):
        here, there = kept(kind, lines), kept(kind, others)
        if len(here) != len(there):
            yield f"{kind} that begins with {lines[0][:50]!r}: {len(here)} lines against {len(there)}"
        for place, (one, other) in enumerate(zip(here, there, strict=False)):
            if one != other:
                only = [list((Counter(x) - Counter(y)).elements()) for x, y in ((one, other), (other, one))]
                yield f"{kind} {lines[place][:50]!r}: only in README.md {only[0]}, only in README.zh.md {only[1]}"


def test_both_editions_keep_headings_code_tables_numbers_images_and_links():
    ours, theirs = map(blocks, EDITIONS)
    order, other = [kind for kind, _ in ours], [kind for kind, _ in theirs]
    place = next((i for i, pair in enumerate(zip(order, other, strict=False)) if len(set(pair)) > 1), len(other))
    advice = "Write the same change into README.md and README.zh.md (a translation keeps code, numbers and links)"
    assert order == other, f"{advice}: they part at {ours[place : place + 1]} and {theirs[place : place + 1]}"
    found = list(differences(ours, theirs))
    assert not found, f"{advice}:\n" + "\n".join(found)


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 550  # about 500 beside the table


def test_the_chinese_edition_is_chinese():
    for kind, lines in blocks("README.zh.md"):
        if kind in ("paragraph", "quote") and not lines[0].startswith("[English]"):
            assert re.search(r"[\u4e00-\u9fff]", "".join(lines)), lines[0]


def anchors(text):
    """The names by which GitHub links to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@whole
@pytest.mark.parametrize("path", PAGES)
def test_links_of_pages_lead_to_files_and_their_commands_exist(path):
    from paribus.cli.main import cli

    text = (ROOT / path).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("http"):
            file, _, heading = link.partition("#")
            target = (ROOT / path).parent / file if file else ROOT / path
            assert target.exists(), link
            assert not heading or heading in anchors(target.read_text(encoding="utf-8")), link
    assert set(re.findall(r"^ *paribus ([a-z]+)|`paribus ([a-z]+)", text, re.MULTILINE)) <= {
        pair for name in cli.commands for pair in ((name, ""), ("", name))
    }
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:^ +|`)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    for script in re.findall(r"scripts/\w+\.py", text):
        assert (ROOT / script).exists(), script


@whole
@pytest.mark.parametrize("path", [page for page in PAGES if page.startswith(("ARCHI", "CONTRIB", "docs/internals"))])
def test_source_files_that_pages_name_exist(path):
    """Written as run/fit.py, relative to src/paribus, or from the root of the project."""
    text = (ROOT / path).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w./-])(?:[\w-]+/)+\w+\.py\b", text))
    assert not [file for file in sorted(named) if not any((root / file).exists() for root in (SOURCE, ROOT))]


@whole
def test_the_architecture_fits_two_pages_and_one_figure():
    lines = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120
    steps = [line.split() for line in lines if re.match(r" {4}[ \d][\d>]  \w+/", line)]
    assert [number for number, *_ in steps] == [*map(str, range(1, 16)), ">", ">"]  # to its record, and to the table
    assert [file for _, file, *_ in steps if not (SOURCE / file).exists()] == []


@whole
def test_options_that_their_page_lists_are_those_of_the_configuration():
    """The table of groups names every file of conf/GROUP, and nothing else."""
    [rows] = [lines for kind, lines in blocks("docs/options.md") if kind == "table"]
    for row in rows[2:]:
        groups, options = row.strip("| ").split(" | ")
        there = {
            path.stem for group in re.findall(r"`([\w/]+)`", groups) for path in (ROOT / "conf" / group).glob("*.y*")
        }
        named = set(re.findall(r"\b[a-z]\w+", re.sub(r"`[^`]*`|\([^)]*\)|(?<=full); or.*|; each with.*", "", options)))
        assert named - there == set(), row
        sizes = {name for name in there if re.fullmatch(r"b\d+", name)}  # shortened by three dots
        assert there - named - sizes <= {"checkpoints", "progress"}, row


def test_an_edit_of_one_edition_alone_is_found():
    ours = blocks("README.md")

    def edited(kind, old, new):
        theirs = [(each, [line.replace(old, new) if each == kind else line for line in lines]) for each, lines in ours]
        assert theirs != ours
        return list(differences(ours, theirs))

    [command, *_] = edited("code", "paribus plan ablation=mine", "paribus status ablation=mine")
    assert "only in README.md ['    paribus plan ablation=mine #']" in command
    assert edited("code", "two minutes", "zwei Minuten") == []
    [level] = edited("heading", "## Two", "### Two")
    assert "only in README.md ['##'], only in README.zh.md ['###']" in level
    [row] = edited("table", "| spectral ", "| spectral | 7 ")
    assert "only in README.zh.md ['7', '|']" in row
    [page] = edited("table", "](RESULTS.md)", "](RESULT.md)")
    assert "](RESULT.md)" in page
    [words] = edited("paragraph", "`make demo` took", "`make test` took")
    assert "`make demo`" in words
    [rows] = differences([("table", ["| a |", "|---|", "| b |"])], [("table", ["| a |", "|---|"])])
    assert "3 lines against 2" in rows

"""The site: every page has its place, the reference follows the code, and a build needs nothing from elsewhere."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import scripts
import system
import yaml

from paribus.ablation import parser
from paribus.ablation.file import DESIGNS, STREAMS, TUNING
from paribus.cli.main import cli

pytestmark = pytest.mark.needs(*system.EXTRAS)  # pages speak of all extras

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
markdown = scripts.load("site_markdown")
reference = scripts.load("site_reference")
hooks = scripts.load("site_hooks")
pages_made = functools.cache(reference.pages)


NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


def places(entries):
    """The pages of the navigation, in order."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from places(below if isinstance(below, list) else [below])


def test_every_page_has_one_place_in_the_navigation():
    made = [*pages_made(), *hooks.DOCUMENTS]
    made += [path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb")]
    found = list(places(hooks.filled(NAV, sorted([*PAGES, *made]))))
    assert sorted(found) == sorted([*PAGES, *made])


def test_pages_are_short():
    """Split a longer one into pages with one subject each. Cards hold tables of results."""
    words = {page: (DOCS / page).read_text(encoding="utf-8").split() for page in PAGES if not page.startswith("cards/")}
    counts = {page: sum(bool(re.search(r"\w", word)) for word in found) for page, found in words.items()}
    assert {page: count for page, count in counts.items() if count > 1000} == {}


def test_the_reference_has_every_command_option_and_key():
    pages = pages_made()
    assert {f"reference/commands/{name}.md" for name in cli.commands} <= pages.keys()
    assert "`--columns TEXT`" in pages["reference/commands/table.md"]
    assert "[docs/json.md](../../json.md)" in pages["reference/commands/plan.md"]
    for path in (ROOT / "conf").rglob("*.yaml"):
        if path.parent != ROOT / "conf":
            group = path.parent.relative_to(ROOT / "conf").as_posix()
            assert re.search(rf"^##+ {path.stem}$", pages[reference.option_page(group)], re.MULTILINE), path
    row = "| `optimizer.betas` | `[0.9, 0.999]` | decay of the average gradient, and of the average squared gradient |"
    assert row in pages["reference/options/optimizer.md"]
    keys = set(re.findall(r"^\| `([\w.]+)`", pages[reference.CONFIGURATION], re.MULTILINE))
    assert {"seed", "seeds.order", "budget.epochs", "evaluation.statistics", "stack"} <= keys


def test_keys_have_the_comments_above_and_beside_them():
    text = (
        "# The file.\n\n# Above,\n# twice.\na: 1   # beside\n# All of\n#   c: x\nb:   # of b\n"
        "  c: [1, 2]\n  d:\n    - x\n    - y # last\n"
    )
    assert reference.keys(text, "g") == [
        ("g.a", "1", "Above, twice. beside"),
        ("g.b", "", "All of\nc: x of b"),
        ("g.b.c", "[1, 2]", ""),
        ("g.b.d", "[x, y]", ""),
    ]


def test_the_page_on_the_ablation_file_has_every_key():
    text = (DOCS / "ablation-keys.md").read_text(encoding="utf-8")
    tables = [
        set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", part, re.M)))) for part in text.split("\n## ")
    ]
    keys = (parser._Parser.KEYS, parser.SEARCH, parser.SEEDS, parser.HYPOTHESIS)
    assert [table - {"ablation"} for table in tables] == [set(each) for each in keys]
    for word in (*DESIGNS, *STREAMS, *TUNING):
        assert f"`{word}`" in text


def test_markdown_of_github_becomes_that_of_the_site():
    given = (
        "Text:\n- one\n  - two\n\nWrite:\n\n    # conf/a.yaml\n    x: 1\n\n    y: 2\n\n    paribus plan\n"
        "\n## Next\n    pip list\n"
    )
    expected = (
        'Text:\n\n- one\n    - two\n\nWrite:\n\n```yaml title="conf/a.yaml"\nx: 1\n\ny: 2\n\nparibus plan\n```\n'
        "\n## Next\n\n```bash\npip list\n```\n"
    )
    assert re.sub("\n{3,}", "\n\n", markdown.python_markdown(given)).strip() == expected.strip()
    assert markdown.python_markdown("```text\n- a\n    b\n```\n") == "```text\n- a\n    b\n```\n"


def test_formulas_become_mathml():
    page = r'<p>if <span class="arithmatex">\(a &lt; b\)</span></p>'
    assert re.search("<p>if <math.*<mo>&lt;</mo>|&#x0003C;", markdown.mathml(page))
    notebook = '<script src="https://elsewhere/x.js"></script><pre>a $b$</pre> costs $5 to $6, $x_1$'
    made = markdown.mathml(notebook, notebook=True)
    assert "elsewhere" not in made
    assert "<pre>a $b$</pre> costs $5 to $6, <math" in made


def test_keys_in_tables_may_be_broken_at_their_parts():
    made = hooks.KEY.sub(
        hooks.breakable, "<td><code>a.b_c</code></td><td><code>-f [x|y]</code></td><p><code>a.b</code></p>"
    )
    assert made == "<td><code>a.<wbr>b<wbr>_c</code></td><td><code>-f [x|<wbr>y]</code></td><p><code>a.b</code></p>"


def test_the_picture_of_the_verdicts_has_the_examples_of_the_table():
    text = (DOCS / "verdicts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]+) \|.*\| (\S+ to [^ ;]+)", text, re.MULTILINE)
    picture = (DOCS / "verdicts.svg").read_text(encoding="utf-8")
    assert re.findall(r"<title>([A-Z]+): (.*)</title>", picture) == rows
    for _, interval in rows:
        low, high = (float(end.replace("−", "-")) for end in interval.split(" to "))
        assert f'x1="{240 + 100 * low:g}" x2="{240 + 100 * high:g}"' in picture


def test_links_lead_to_pages_and_files_that_are_no_pages_become_text(tmp_path):
    from mkdocs.structure.files import File, Files

    files = Files([])
    for name in ("metrics.md", "index.md", "ARCHITECTURE.md", "reference/options/optimizer.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# The page {name}\n")
        files.append(File(name, str(tmp_path), str(tmp_path / "site"), True))

    def made(text, page):
        return hooks.LINK.sub(lambda link: hooks.linked(link, page, files), text)

    assert made("[metrics.md](metrics.md#x)", "model.md") == "[The page metrics.md](metrics.md#x)"
    assert made("[start](../README.md)", "model.md") == "[start](index.md)"
    assert made("[why](docs/internals)", "ARCHITECTURE.md") == "[why](ARCHITECTURE.md)"
    option = made("[conf](../../../conf/optimizer/sgd.yaml)", "cards/optimizer/sgd.md")
    assert option == "[conf](../../reference/options/optimizer.md#sgd)"
    assert made("[it](../src/paribus/api/words.py)", "model.md") == "it (`src/paribus/api/words.py`)"
    assert made("[x](https://a.org) [y](nowhere.md)", "model.md") == "[x](https://a.org) [y](nowhere.md)"


# The whole of it


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. A link that leads nowhere, a page without a place and any other warning end the build."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_nothing_comes_from_elsewhere(site):
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//[^>]*|<link[^>]*stylesheet[^>]*href=[\"']?(?:https?:)?//[^>]*"
    )
    for page in site.rglob("*.html"):
        assert loads.findall(page.read_text(encoding="utf-8")) == [], page


@pytest.mark.slow
def test_what_one_looks_for_is_found(site):
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for words in ("evaluation.statistics", "Sobol", "paribus verify", "sharpness", "TrainedRun"):
        assert words in index


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from browsers import start

    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.needs("browser")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_fit_a_phone_and_a_desk_without_errors(address, browser, theme):
    from browsers import screen

    results = ("RESULTS/", "results/findings/", "results/1.2/1.2-4/", "results/ablations/norms/")
    others = ("", "tutorials/paper/", "cards/norm/batch/", "reference/api/", "notebooks/1.1_critical_points/")
    for page in (*others, *results):
        for width in (390, 1400):
            screen(browser, width, theme)
            browser.get(f"{address}/{page}")
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page
            scheme = browser.execute_script("return document.body.dataset.mdColorScheme")
            assert scheme == {"light": "default", "dark": "slate"}[theme]
    assert browser.get_log("browser") == []

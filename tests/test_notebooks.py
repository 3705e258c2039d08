"""notebooks/: executed, small, without definitions of their own, and the same code in both editions."""

import ast
import json
import re
from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
EDITIONS = [ROOT / "notebooks" / name for name in NAMES] + [ROOT / "notebooks" / "zh" / name for name in NAMES]
TERMS = re.compile(r"arXiv:[\d.]+\d|`[^`]+`|\$[^$]+\$")  # what no translation may lose
HEADING = re.compile(r"^(#+) (\d\.\d)?", re.MULTILINE)


def cells(path, kind=None):
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if kind in (None, c["cell_type"])]


def source(cell):
    return "".join(cell["source"])


def headings(path):
    return [found for cell in cells(path, "markdown") for found in HEADING.findall(source(cell))]


@pytest.fixture(scope="module")
def script():
    return scripts.load("notebooks")


def test_there_is_one_for_each_section_of_the_notes_in_both_editions():
    assert [name[:3] for name in NAMES] == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1"]
    assert sorted(path.name for path in (ROOT / "notebooks" / "zh").glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("path", EDITIONS, ids=[str(path.relative_to(ROOT)) for path in EDITIONS])
def test_it_is_executed_small_and_defines_nothing(path):
    assert path.stat().st_size < 600_000
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert [cell["id"] for cell in cells(path)] == [f"cell-{place:02d}" for place in range(len(cells(path)))]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert all(cell["metadata"] == {} for cell in cells(path))
    for cell in code:
        lines = [line for line in source(cell).splitlines() if not line.startswith("%")]
        tree = ast.parse("\n".join(lines))
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree))


@pytest.mark.parametrize("path", EDITIONS, ids=[str(path.relative_to(ROOT)) for path in EDITIONS])
def test_its_links_and_the_checks_that_it_names_exist(path):
    from paribus.config.ablations import shipped
    from paribus.notes.checks.catalogue import CHECKS

    text = "\n".join(map(source, cells(path)))
    for link in re.findall(r"\]\(([^)\s]+\.md)\)", text):
        assert (path.parent / link).resolve().exists(), link
    assert set(re.findall(r'check(?:s\[|\()"([^"]+)"', text)) <= {check.id for check in CHECKS}
    for name in re.findall(r"ablation=(\w+)", text):
        assert name in shipped()


@pytest.mark.parametrize("name", NAMES)
def test_both_editions_have_the_same_headings_code_and_outputs(name):
    ours, theirs = ROOT / "notebooks" / name, ROOT / "notebooks" / "zh" / name
    assert [cell["cell_type"] for cell in cells(ours)] == [cell["cell_type"] for cell in cells(theirs)]
    assert cells(ours, "code") == cells(theirs, "code")
    assert headings(ours) == headings(theirs)
    for one, other in zip(cells(ours, "markdown"), cells(theirs, "markdown"), strict=True):
        assert source(one).count("\n- ") == source(other).count("\n- ")
        assert sorted(TERMS.findall(source(one))) == sorted(TERMS.findall(source(other)))
        assert re.search(r"[\u4e00-\u9fff]", source(other))


def test_text_and_code_that_do_not_alternate_alike_are_refused(script):
    from nbformat import v4

    ours = v4.new_notebook(cells=[v4.new_markdown_cell("# A"), v4.new_code_cell("1")])
    theirs = v4.new_notebook(cells=[v4.new_markdown_cell("# 甲")])
    with pytest.raises(ValueError, match="both editions must have the same kinds of cells"):
        script.translated(ours, theirs)
    theirs.cells.append(v4.new_code_cell("2"))
    made = script.translated(ours, theirs)
    assert [cell.source for cell in made.cells] == ["# 甲", "1"]


@pytest.mark.parametrize("name", NAMES)
def test_it_uses_the_python_surface_and_nothing_deeper(name):
    """And what it names of it is there: a move of a function is noticed without running the whole notebook."""
    import paribus

    lines = [line for cell in cells(ROOT / "notebooks" / name, "code") for line in source(cell).splitlines()]
    code = list(ast.walk(ast.parse("\n".join(line for line in lines if not line.startswith("%")))))
    imported = {each.name for node in code if isinstance(node, ast.Import) for each in node.names}
    imported |= {str(node.module) for node in code if isinstance(node, ast.ImportFrom)}
    assert {each for each in imported if each.partition(".")[0] == "paribus"} == {"paribus"}
    used = {node.attr for node in code if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "paribus"}
    assert used, "it uses the Python surface"
    assert used <= set(paribus.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom(name, script, monkeypatch):
    import nbformat

    for key in ("OMP_NUM_THREADS", "WANDB_MODE", "PYTHONWARNINGS"):
        monkeypatch.setenv(key, "")  # so that what the script sets is taken back
    made = script.executed(nbformat.read(ROOT / "notebooks" / name, as_version=4))
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code")

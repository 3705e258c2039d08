"""Imports point down only, no file imports itself by way of others, and what must be quick imports no torch."""

import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from import_graph import graph, modules, named, shortest_circle

ROOT = Path(__file__).parents[1] / "src"
SOURCE = ROOT / "paribus"
# From top to bottom. A file imports files of its own package and of the lines below; packages that share a line do not
# know each other. There are no exceptions.
LAYERS = [
    {"", "__main__", "hydra_plugins"},  # the doors: `import paribus`, `python -m paribus`, Hydra
    {"api"},
    {"cli"},
    {"notes", "projects"},
    {
        "extras.cluster",
        "extras.curvature",
        "extras.exchange",
        "extras.lightning",
        "extras.search",
        "extras.stack",
        "extras.surfaces",
        "extras.wandb",
        "extras",
    },
    {"report", "conformance"},
    {"sweep"},
    {"evidence"},
    {"run"},
    {"adapters"},
    {"ablation"},
    {"config"},
    {"store"},
    {"tasks"},
    {"models"},
    {"techniques"},
    {"datasets"},
    {"stats"},
    {"base"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
GRAPH = graph(ROOT)
FILES = modules(ROOT)
each_file = pytest.mark.parametrize("path", FILES.values(), ids=FILES)
# Tables, plans and records are made without torch, whatever is asked for; commands and launchers start without it.
WITHOUT_TORCH = ("config", "store", "stats", "ablation", "evidence", "report")
START_WITHOUT_TORCH = (*WITHOUT_TORCH, "cli", "sweep", "hydra_plugins", "", "__main__")
HEAVY = {"torch", "torchmetrics", "pytorch_lightning", "lightning_fabric", "sklearn", "pandas"}


def package(name):
    """The package of a file: of paribus.ablation.cells it is ablation; each extra is one of its own."""
    first, *rest = name.split(".")
    if first != "paribus":
        return first
    return ".".join(rest[:2]) if rest[:1] == ["extras"] else "".join(rest[:1])


def prints(path):
    """Lines that write to a terminal directly."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write"):
            yield node.lineno


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name):
    own = package(name)
    wrong = [other for other in GRAPH[name] if package(other) != own and RANK[package(other)] <= RANK[own]]
    assert not wrong, f"{name} may not import {', '.join(wrong)}: what both need lies below them"


def test_imports_point_down_from_file_to_file():
    """Within packages too: there is an order in which every file comes after those that it imports."""
    circle = shortest_circle(GRAPH)
    assert circle is None, "a circle of imports: " + " -> ".join(circle)


PLANTED = {
    "house/__init__.py": "",
    "house/attic.py": "from house import cellar\nfrom house.rooms import bath",
    "house/cellar.py": "def dig():\n    from . import garden",
    "house/garden.py": "if TYPE_CHECKING:\n    from house.rooms.bath import Tub",
    "house/rooms/__init__.py": "import json, house.garden",
    "house/rooms/bath.py": "Tub = importlib.import_module('house.cellar').Tub",
    "house/rooms/kitchen.py": "from ..attic import roof\nfrom .bath import Tub",
}


def test_the_graph_has_every_import_and_the_shortest_circle(tmp_path):
    for name, text in PLANTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = graph(tmp_path)
    short = {name.removeprefix("house."): {each.removeprefix("house.") for each in to} for name, to in found.items()}
    assert short == {
        "house": set(),
        "attic": {"cellar", "rooms.bath"},
        "cellar": {"garden"},
        "garden": {"rooms.bath"},
        "rooms": {"garden"},
        "rooms.bath": {"cellar"},
        "rooms.kitchen": {"attic", "rooms.bath"},
    }
    circle = ["house.cellar", "house.garden", "house.rooms.bath"]
    assert shortest_circle(found) == [*circle, circle[0]]
    found["house.garden"].add("house.cellar")
    assert shortest_circle(found) == ["house.cellar", "house.garden", "house.cellar"]
    found["house.cellar"].clear()
    assert shortest_circle(found) is None


def test_only_the_terminal_prints():
    """Names come from files of others: paribus.base.terminal makes them harmless."""
    found = {path: list(prints(path)) for path in SOURCE.rglob("*.py") if path.name != "terminal.py"}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize("layer", ["models", "techniques", "datasets"])
def test_torch_layers_know_nothing_of_hydra_lightning_or_the_store(layer):
    files = [SOURCE / f"{layer}.py"] if (SOURCE / f"{layer}.py").exists() else (SOURCE / layer).rglob("*.py")
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] in ("hydra", "omegaconf", "pytorch_lightning") for name in names), path


@pytest.mark.parametrize(
    "command", [["--help"], ["plan", "ablation=demo"], ["table", "--help"], ["status", "ablation=demo"], ["runs"]]
)
def test_quick_commands_import_no_torch(command, tmp_path):
    code = f"""
import sys
sys.argv = ["paribus", *{command!r}]
from paribus.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
slow = {{"torch", "pytorch_lightning", "sklearn", "pandas"}} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


def test_importing_any_file_of_a_quick_layer_imports_no_torch():
    """Whatever a planning, reporting or launching process imports: its server has torch meanwhile."""
    names = [name for name in FILES if package(name) in START_WITHOUT_TORCH and name != "paribus.__main__"]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    slow = {HEAVY!r} & set(sys.modules)
    assert not slow, (name, slow)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", [name for name in FILES if package(name) in WITHOUT_TORCH])
def test_layers_without_torch_ask_for_it_nowhere(name):
    """Inside functions neither."""
    assert not HEAVY & {module.partition(".")[0] for module, _ in named(name, FILES[name])}


CORE = ("techniques", "tasks", "run", "ablation")
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code(path):
    """The numbers of the lines of a file that are neither blank nor a comment nor a docstring."""
    with tokenize.open(path) as file:
        tokens = [each for each in tokenize.generate_tokens(file.readline) if each.type not in NO_CODE]
    lines = {number for each in tokens for number in range(each.start[0], each.end[0] + 1)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def test_the_core_is_short():
    """A newcomer reads these packages first."""
    assert sum(len(code(path)) for name, path in FILES.items() if package(name) in CORE) < 7000


def test_lines_of_code_are_counted(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        '"""Thing.\n\nMore."""\n\n# why\nx = (\n    1,\n)  # what\n\n\ndef f():\n    "Says."\n    return """a\nb"""\n'
    )
    assert code(path) == {6, 7, 8, 11, 13, 14}


PRIVATE = re.compile(
    r"\b_C\.|\b(?:torch|pytorch_lightning|lightning_fabric|hydra)[\w.]*\._[a-zA-Z]|_python_dispatch|\._schema\b|"
    r"import _[A-Z]|optim_step_progress|_execution_engine|_(?:forward|backward|optimizer_step)\w*_hooks|_load_external"
)


@each_file
def test_private_names_of_libraries_stand_in_one_file_each(path):
    if not path.name.endswith("_internals.py"):
        with tokenize.open(path) as file:
            code = [each for each in tokenize.generate_tokens(file.readline) if each.type == tokenize.NAME]
        lines = {each.start[0]: each.line.strip() for each in code}
        found = [
            line for line in lines.values() if PRIVATE.search(re.sub(r'"[^"]*"', '""', line))
        ]  # a name as text is no use
        assert not found, f"move to base/*_internals.py, with a fallback and a test: {found}"


@each_file
def test_the_docstring_of_a_module_names_the_thing(path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "a module says what it holds"
    assert said.split()[0] not in ("What", "Whether", "How", "From", "Which", "Where", "When", "Why", "Who"), said

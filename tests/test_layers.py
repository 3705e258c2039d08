"""Imports point down only, and what must be quick imports no torch."""

import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "paribus"
# From top to bottom; a layer may import those of its own line and below.
LAYERS = [
    {"cli"},
    {"notes"},
    {"report"},
    {"launch"},
    {"train"},
    {"stack"},
    {"task"},
    {"plan", "config"},
    {"store"},
    {"curvature", "surfaces"},
    {"optim", "losses", "metrics"},
    {"nn", "data"},
    {"stats"},
    {"base", "errors", "directions", "durations", "memory", "redaction", "terminal"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Downwards in time rather than in rank: a launcher and the training entry call each other by design.
ALLOWED = {("train", "launch"), ("launch", "cli"), ("train", "cli")}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("paribus."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("paribus."))


def prints(path):
    """Lines that write to a terminal directly."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write"):
            yield node.lineno


FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem in RANK)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_imports_point_down(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = module.split(".")[1]
        assert RANK[other] >= RANK[own] or (own, other) in ALLOWED, f"{own} imports {module}"


def test_only_the_terminal_prints():
    """Names come from files of others: paribus.terminal makes them harmless."""
    found = {path: list(prints(path)) for path in SOURCE.rglob("*.py") if path.name != "terminal.py"}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize("layer", ["curvature", "surfaces", "nn", "optim", "data", "losses", "metrics"])
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


def test_importing_the_layers_of_records_and_reports_imports_no_torch():
    modules = [
        "paribus.plan.cells",
        "paribus.store.store",
        "paribus.report.table",
        "paribus.report.figures",
        "paribus.report.page.render",
        "paribus.stats.paired",
        "paribus.cli.train",  # of a sweep's own process too, which plans while its server imports torch
        "paribus.launch.local",
        "paribus.launch.sweep",
        "hydra_plugins.paribus.sweeper",
        "hydra_plugins.paribus.launcher",
    ]
    code = "import sys; " + "; ".join(f"import {m}" for m in modules) + "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


PRIVATE = re.compile(
    r"\b_C\.|\b(?:torch|pytorch_lightning|lightning_fabric|hydra)[\w.]*\._[a-zA-Z]|_python_dispatch|\._schema\b|"
    r"import _[A-Z]|optim_step_progress|_execution_engine|_(?:forward|backward|optimizer_step)\w*_hooks|_load_external"
)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_private_names_of_libraries_stand_in_one_file_each(path):
    if not path.name.endswith("_internals.py"):
        with tokenize.open(path) as file:
            code = [each for each in tokenize.generate_tokens(file.readline) if each.type == tokenize.NAME]
        lines = {each.start[0]: each.line.strip() for each in code}
        found = [
            line for line in lines.values() if PRIVATE.search(re.sub(r'"[^"]*"', '""', line))
        ]  # a name as text is no use
        assert not found, f"move to base/*_internals.py, with a fallback and a test: {found}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_the_docstring_of_a_module_names_the_thing(path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "a module says what it holds"
    assert said.split()[0] not in ("What", "Whether", "How", "From", "Which", "Where", "When", "Why", "Who"), said

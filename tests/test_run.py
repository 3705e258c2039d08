"""Raw configurations stop at config/: what stands beyond it is handed a Run, and reads its fields."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE / "paribus" / "config")
# What a raw configuration is called, here and in most code of its kind, and the objects that hold one.
RAW = {"config", "configuration", "cfg", "conf", "resolved", "plain", "container"}
HOLDERS = {"composed", "cell", "run", "job", "member"}
# Nodes of a run: their keys belong to other people's classes, and config/nodes.py asks of them what must be asked.
NODES = {"model", "loss", "optimizer", "scheduler", "augmentation", "data.source", "activation", "weight", "callbacks"}
READERS = {"get", "pop", "setdefault", "at", "__getitem__"}


def is_key(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def name_of(node):
    """config of config["a"].get("b")["c"], and of self.config["a"]."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
        if isinstance(node, ast.Attribute) and node.attr in READERS:
            node = node.value
    return (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")).lstrip("_")


def is_node(node):
    """run.optimizer, run.data.source"""
    parts = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
    return len(parts) > 1 and (parts[-1] in NODES or ".".join(parts[-2:]) in NODES)


def reads(tree):
    """Every read by a written-down key of what is called like a raw configuration: x["a"], x.get("a")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_key(node.slice):
            if name_of(node.value) in RAW or is_node(node.value):
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
            named, of = RAW | HOLDERS if node.func.attr == "at" else RAW, node.func.value
            if node.args and is_key(node.args[0]) and (name_of(of) in named or is_node(of)):
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "at":
            yield from [f"{node.lineno}: {ast.unparse(node)}"] if any(map(is_key, node.args)) else []


def handed(tree):
    """Every parameter and field that is called like a raw configuration, and is none of Hydra's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in RAW:
            annotation = ast.unparse(node.annotation) if node.annotation else "Any"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in RAW:
            annotation = ast.unparse(node.annotation)
        else:
            continue
        if annotation != "DictConfig" and not annotation.startswith("list"):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_a_run_is_read_by_its_fields(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not list(reads(tree)), "read a field of Run, or give it a property (config/run.py, config/nodes.py)"
    assert not list(handed(tree)), "hand over a Run (config/run.py)"


@pytest.mark.parametrize(
    "line",
    [
        'config["a"]["b"]',
        "cell.config['trainer']",
        'self._config["a"]',
        'cfg.get("a", {})["b"]',
        'run.resolved["trainer"]["precision"]',
        'resolved(load(line))["seed"]',
        'run.at("trainer.precision")',
        'at(run.resolved, "seed")',
        'for name in config.pop("callbacks"): pass',
        'run.optimizer["lr"]',
        'run.data.source.get("path")',
    ],
)
def test_a_read_of_a_raw_configuration_is_seen(line):
    assert list(reads(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["def f(config): pass", "def f(cfg: dict[str, Any]): pass", "config: Mapping[str, Any]"]
)
def test_a_raw_configuration_that_is_handed_on_is_seen(line):
    assert list(handed(ast.parse(line)))

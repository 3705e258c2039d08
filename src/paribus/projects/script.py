"""The training script of a project in lightning-hydra-template's layout, read as text: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paribus.base.errors import UserError

# Where such projects have it, the usual place first.
_PLACES = (
    "src/train.py",
    "train.py",
    "run.py",
    "scripts/train.py",
    "*/train.py",
    "src/*/train.py",
    "src/main.py",
    "main.py",
)
_CONFIGS = ("configs", "config")
# Names of the variables and sections that hold the two.
MODULE = ("model", "module", "lit_module", "lightning_module", "pl_module", "system", "lit_model")
DATAMODULE = ("data", "datamodule", "data_module", "dm", "datasets", "dataset")


@dataclass(frozen=True)
class Made:
    """instantiate(cfg.SECTION, KEYWORD=...) in the script. variable: of the result; kind: its annotation."""

    section: str
    variable: str
    kind: str
    keywords: dict[str, str]
    line: int


@dataclass(frozen=True)
class Script:
    """path: None where only the configuration was named. first_file: its first file. root: of the project."""

    root: Path
    first_file: Path
    path: Path | None = None
    made: tuple[Made, ...] = ()
    sets: tuple[tuple[str, int, bool], ...] = ()  # (key, line, whether always) of the keys that the script sets
    resolvers: dict[str, ast.expr | None] = field(default_factory=dict)  # by name: the function, where it is a lambda

    @property
    def place(self) -> str:
        return "the training script" if self.path is None else str(self.path.relative_to(self.root))


def find_script(root: Path, first_file: Path | None) -> Script:
    """The training script below `root`, and the configuration that it starts from.

    first_file: the first file of the configuration, where the user names it.

    Raises UserError where there is none.
    """
    files = dict(parsed_files(root))
    usual = [path for place in _PLACES for path in sorted(root.glob(place)) if path in files]
    others = sorted(files, key=lambda path: "train" not in path.stem)
    for path in dict.fromkeys((*usual, *others)):
        if (found := _config_of(files[path], path, root)) is not None:
            # The script may leave the work to another file.
            trees = [tree for tree in (files[path], *files.values()) if any(_made(tree))][:1]
            made = tuple(each for tree in trees for each in _made(tree))
            sets = tuple(each for tree in (files[path], *trees) for each in _sets(tree))
            return Script(root, first_file or found, path, made, tuple(dict.fromkeys(sets)), _resolvers(files))
    for folder in _CONFIGS:
        if first_file is None and (root / folder / "train.yaml").is_file():
            first_file = root / folder / "train.yaml"
    if first_file is None:
        raise UserError(
            f"{root} must have a training script with @hydra.main (src/train.py), or configs/train.yaml, and has "
            "neither. Name the first file of its configuration: --config FILE"
        )
    return Script(root, first_file, resolvers=_resolvers(files))


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return None


def parsed_files(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    """The Python files of a project that can be read, but for those in hidden folders and of environments."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") or part in ("site-packages", "node_modules", "outputs", "logs") for part in parts):
            continue
        if (tree := _parsed(path)) is not None:
            yield path, tree


def _config_of(tree: ast.Module, path: Path, root: Path) -> Path | None:
    """The file that @hydra.main starts from. A folder that is computed is looked for by the text in it."""
    for call in _calls(tree, "main"):
        if not ast.unparse(call.func).startswith("hydra"):
            continue
        given = {each.arg: each.value for each in call.keywords if each.arg is not None}
        for each in call.keywords:  # @hydra.main(**_PARAMETERS)
            if each.arg is None and isinstance(each.value, ast.Name):
                given |= _mapping(tree, each.value.id)
        for name, value in zip(("config_path", "config_name"), call.args, strict=False):
            given.setdefault(name, value)
        names = _texts(given.get("config_name")) or ["config"]
        file = names[0].removesuffix(".yaml") + ".yaml"
        folders = [path.parent / text for text in _texts(given.get("config_path"))]
        folders += [root / text for text in (*_texts(given.get("config_path")), *_CONFIGS)]
        for folder in folders:
            if (folder / file).is_file():
                return (folder / file).resolve()
    return None


def _mapping(tree: ast.Module, name: str) -> dict[str, ast.expr]:
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
    return {}


def _texts(node: ast.AST | None) -> list[str]:
    """The texts that an expression is made of."""
    if node is None:
        return []
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def _made(tree: ast.Module) -> Iterator[Made]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(call := node.value, ast.Call):
            continue
        if ast.unparse(call.func).rpartition(".")[2] != "instantiate" or not call.args:
            continue
        if (section := _key(call.args[0])) is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            keywords = {each.arg: ast.unparse(each.value) for each in call.keywords if each.arg is not None}
            yield Made(section, ast.unparse(target), kind, keywords, node.lineno)


def _sets(node: ast.AST, always: bool = True) -> Iterator[tuple[str, int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Assign):
            for target in child.targets:
                if isinstance(target, ast.Attribute | ast.Subscript) and (key := _key(target)) is not None:
                    yield key, child.lineno, always
        yield from _sets(child, always and not isinstance(child, ast.If | ast.For | ast.While | ast.Try))


def _key(node: ast.AST) -> str | None:
    """The dotted key of cfg.model, cfg["model"] and cfg.get("model")."""
    parts: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(str(node.slice.value))
            node = node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".get") and _texts(node):
            parts.append(_texts(node)[0])
            node = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        else:
            return None
    return ".".join(reversed(parts)) if parts and node.id in ("cfg", "config", "conf", "hparams", "args") else None


def _resolvers(files: Mapping[Path, ast.Module]) -> dict[str, ast.expr | None]:
    """The resolvers that the project registers with OmegaConf, wherever it does."""
    return {
        str(call.args[0].value): call.args[1]
        for tree in files.values()
        for name in ("register_new_resolver", "register_resolver")
        for call in _calls(tree, name)
        if len(call.args) > 1 and isinstance(call.args[0], ast.Constant)
    }

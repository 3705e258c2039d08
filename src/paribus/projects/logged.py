"""Names of the metrics that a LightningModule logs, as far as its source says them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_LOWER = re.compile(
    r"loss|err|mse|mae|rmse|nll|perplexity|ppl|wer|cer|fid|lpips|eer|distance|dist|kl|bce|mape|smape", re.I
)
_HIGHER = re.compile(
    r"acc|f1|f_?score|auc|roc|prec|recall|iou|jaccard|dice|psnr|ssim|r2|map|ap|kappa|mcc|ndcg|hit|mrr|bleu|rouge|"
    r"specificity|sensitivity|correlation|pearson|spearman|score|success|reward",
    re.I,
)
_NAME = re.compile(r"[^\W\d][\w.@/-]{0,63}")
_SPLIT = re.compile(r"(?P<split>val|valid|validation|test)(?P<mark>[/_.\-])(?P<name>[\w./@ -]+)")


def names_logged(target: str, root: Path) -> list[str]:
    """The names in self.log("val/acc", ...) and self.log_dict({"val/acc": ...}) of a class and of its bases, in the
    order of the source. A name that is computed is left out."""
    found: list[str] = []
    for tree in _classes(target, root):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            first = node.args[0]
            if node.func.attr == "log" and isinstance(first, ast.Constant):
                found.append(str(first.value))
            elif node.func.attr == "log_dict" and isinstance(first, ast.Dict):
                found += [str(key.value) for key in first.keys if isinstance(key, ast.Constant)]
    return list(dict.fromkeys(found))


def source_of(target: str, root: Path) -> Path | None:
    """The file of the project that holds a `_target_`; None where it is not one of the project's."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        for base in (root, root / "src"):
            path = base.joinpath(*parts[:length])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    return file
    return None


def _classes(target: str, root: Path, depth: int = 0) -> Iterator[ast.AST]:
    """The class of a target and those that it inherits from, as far as the project has their source."""
    path, name = source_of(target, root), target.rpartition(".")[2]
    if path is None or depth > 5:
        return
    tree = ast.parse(path.read_text(encoding="utf-8-sig"))
    imported = _imports(tree, target.rpartition(".")[0])
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield node
            for base in node.bases:
                text = ast.unparse(base)
                first, _, rest = text.partition(".")
                full = imported.get(first, f"{target.rpartition('.')[0]}.{first}")
                yield from _classes(f"{full}.{rest}".rstrip("."), root, depth + 1)
            return
    if name in imported:  # the package only passes it on
        yield from _classes(imported[name], root, depth + 1)


def _imports(tree: ast.Module, module: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            found |= {each.asname or each.name: f"{start}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname or each.name: each.name for each in node.names}
    return found


def direction(name: str) -> str | None:
    """higher or lower: which is better, by the name of a metric; None where the name does not say."""
    last = re.split(r"[/.]", name)[-1]
    if _LOWER.search(last):
        return "lower"
    return "higher" if _HIGHER.search(last) else None


def declarations(names: list[str], known: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """task.metrics for what a module logs in validation and test. known: metrics that the project itself follows, with
    their directions; an empty text where it says none.

    val/acc and test/acc are one metric, acc. Other forms, as val_acc, are declared by their whole names. A best value
    so far (val/acc_best) is left out: Paribus keeps it itself.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in [*known, *names]:
        match = _SPLIT.fullmatch(name)
        if name not in known and (match is None or name.endswith("_best")):
            continue
        if not _NAME.fullmatch(name):
            continue
        short = match["name"] if match and match["mark"] == "/" and "/" not in match["name"] else name
        better = known.get(name) or direction(short)
        if better is None and short in found:
            continue
        if short not in found or found[short]["better"] is None:
            found[short] = {"better": better}
    return found


def on_test(monitor: str, names: list[str]) -> str:
    """The metric of the test that is like a monitored one; the monitored one where the module logs none.

    names: those that the module logs, as far as its source says them.
    """
    match = _SPLIT.fullmatch(monitor)
    if match is None or match["split"] == "test":
        return monitor
    name = f"test{match['mark']}{match['name']}"
    exact = any(each.startswith("test") for each in names)
    return name if name in names or not exact else monitor

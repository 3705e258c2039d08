"""Names of the metrics that a LightningModule logs, as far as its source says them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

# Words that say a direction, in lower case. `answer` and `flower` hold wer, and say none.
_LOWER = re.compile(
    r"loss(es)?|err(or)?s?|n?r?mse|mae|s?mape|nll|bce|kl|perplexity|ppl|wer|cer|eer|fid|lpips|dist(ances?)?"
)
_HIGHER = re.compile(
    r"acc(uracy|uracies)?|f1|f?score|(roc|pr)?auc|(au)?roc|auprc|prec(ision)?|recall|m?iou|jaccard|dice|psnr|ssim|r2|"
    r"m?ap|kappa|mcc|ndcg|hits?|mrr|bleu|rouge|specificity|sensitivity|corr(elation)?|pearson|spearman|success|rewards?"
)
_WORD = re.compile(r"IoU|[FfRr]\d|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME = re.compile(r"[^\W\d][\w.@/-]{0,63}")
_SPLIT = re.compile(r"(?P<split>val|valid|validation|test)(?P<mark>[/_.\-])(?P<name>[\w./@ -]+)")


class Logged(NamedTuple):
    """names: those that the source says. guessed: of f"{stage}/loss", for val and test. computed: whether there are
    others."""

    names: list[str]
    guessed: list[str]
    computed: bool


def names_logged(target: str, root: Path) -> Logged:
    """The names in self.log("val/acc", ...) and self.log_dict({"val/acc": ...}) of a class and of its bases, in the
    order of the source."""
    names: list[str] = []
    guessed: list[str] = []
    computed = False
    for tree in _classes(target, root):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("log", "log_dict"):
                continue
            given = [*node.args[:1], *(each.value for each in node.keywords if each.arg in ("name", "dictionary"))]
            for first in given[:1]:
                for each in first.keys if isinstance(first, ast.Dict) else [first]:
                    if isinstance(each, ast.Constant):
                        names.append(str(each.value))
                    else:
                        computed = True
                        guessed += _guessed(each)
    return Logged([*dict.fromkeys(names)], [*dict.fromkeys(guessed)], computed)


def _guessed(name: ast.AST | None) -> list[str]:
    """The names that an f-string which begins with the part of the data makes."""
    match name:
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(rest))]):
            return [f"val{rest}", f"test{rest}"]
    return []


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
    """higher or lower: which is better, by the name of a metric; None where the name does not say.

    The last word that says one decides: acc_loss is a loss. Words end at punctuation, digits and capitals.
    """
    for word in reversed(_WORD.findall(re.split(r"[/.]", name)[-1])):
        if _LOWER.fullmatch(word.lower()):
            return "lower"
        if _HIGHER.fullmatch(word.lower()):
            return "higher"
    return None


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
        both = match is not None and match["mark"] == "/" and "/" not in match["name"] and not name.endswith("_best")
        short = match["name"] if match is not None and both else name
        better = known.get(name) or direction(short)
        if better is None and short in found:
            continue
        if short not in found or found[short]["better"] is None:
            found[short] = {"better": better}
    return found


def on_test(monitor: str, logged: Logged) -> str:
    """The metric of the test that is like a monitored one; the monitored one where the module logs none."""
    match = _SPLIT.fullmatch(monitor)
    if match is None or match["split"] == "test":
        return monitor
    name = f"test{match['mark']}{match['name']}"
    return name if name in logged.names or logged.computed else monitor

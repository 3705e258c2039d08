"""Resolvers of a project that only calculate, worked out without running code of the project."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

_OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Not: operator.not_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each for each in (int, float, str, bool, round, abs, min, max, sum, len, list, tuple)
}
_LONGEST = 1000


class Unknown(Exception):
    """An expression that is more than a calculation."""


def calculate(text: str) -> Any:
    """The value of an expression such as `16 // 4`. Raises Unknown for one that does more."""
    try:
        return _value(ast.parse(text.strip()[:_LONGEST], mode="eval").body, {})
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise Unknown(text) from error


def applied(function: ast.expr | None, arguments: list[Any]) -> Any:
    """What a resolver makes of its arguments. function: as it stands in the source. Raises Unknown."""
    try:
        if isinstance(function, ast.Name) and function.id == "eval":
            return calculate(str(arguments[0]))
        if isinstance(function, ast.Name) and function.id in _FUNCTIONS:
            return _FUNCTIONS[function.id](*arguments)
        if isinstance(function, ast.Lambda):
            names = [each.arg for each in function.args.args]
            body = function.body
            if isinstance(body, ast.Call) and ast.unparse(body.func) == "eval" and len(names) == len(arguments) == 1:
                return calculate(str(arguments[0]))
            if function.args.vararg is not None and not names:
                return _value(body, {function.args.vararg.arg: arguments})
            if len(names) == len(arguments):
                return _value(body, dict(zip(names, arguments, strict=True)))
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        raise Unknown(str(function)) from error
    raise Unknown(str(function))


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(each, names) for each in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
        return _OPERATORS[type(node.ops[0])](_value(node.left, names), _value(node.comparators[0], names))
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test, names) else node.orelse, names)
    if isinstance(node, ast.Subscript):
        return _value(node.value, names)[_value(node.slice, names)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        return _FUNCTIONS[node.func.id](*(_value(each, names) for each in node.args))
    raise Unknown(ast.unparse(node))

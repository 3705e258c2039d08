"""The graph of imports: which file of a source tree names which other one, wherever in the file that stands."""

import ast
from collections import deque
from graphlib import CycleError, TopologicalSorter


def modules(root):
    """Every file below `root`, by the name that it is imported by."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def named(name, path):
    """(module, names taken from it or None) of every import of a file.

    Those inside functions count, since they are only later, and those for the type checker as well: a reader follows
    them. So does import_module of a name that is written out.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((each.name, None) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])]), [each.name for each in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((each.value, None) for each in node.args[:1] if isinstance(each, ast.Constant))


def imports(name, path, known):
    """The files of `known` that a file imports: of a package the file itself that is asked for, where there is one."""
    found = set()
    for module, names in named(name, path):
        for each in names or [None]:
            inner = f"{module}.{each}"
            found |= {inner} if inner in known else {module} & set(known)
    return found - {name}


def graph(root):
    """file -> the files that it imports."""
    known = modules(root)
    return {name: imports(name, path, known) for name, path in known.items()}


def shortest_circle(graph):
    """[a, b, ..., a], each of which imports the next; None where the files have an order."""
    try:
        TopologicalSorter(graph).prepare()
        return None
    except CycleError:
        return min(filter(None, (_back_to(name, graph) for name in sorted(graph))), key=len)


def _back_to(start, graph):
    """The shortest way from a file back to itself; None where there is none."""
    came, waiting = {}, deque([start])
    while waiting:
        here = waiting.popleft()
        for there in sorted(graph[here]):
            if there == start:
                way = [there, here]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if there not in came:
                came[there] = here
                waiting.append(there)
    return None

"""The declared dependencies: whatever is imported is declared, with a lower bound only, and locked for every Python."""

import ast
import functools
import json
import re
import sys
from importlib import metadata
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(line) for line in lines if not line.startswith("paribus[")]
    for extra, lines in PROJECT["optional-dependencies"].items()
}
# What users may be asked to install, and what whoever develops Paribus has besides.
USED = [*CORE, *(need for extra, needs in EXTRAS.items() if extra != "dev" for need in needs)]
DECLARED = [*USED, *EXTRAS["dev"]]
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.lstrip().startswith("#")
]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ELSEWHERE = {"peers_jax.py": ["jax"]}  # runs in an environment that bench_peers.py makes for it
MISSING = "{} is imported by {} and declared nowhere in pyproject.toml"


def named(requirements):
    return {canonicalize_name(requirement.name) for requirement in requirements}


def sources(folder):
    """The Python code of a folder by path, that in notebooks included."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, path.read_text()
    for path in sorted((ROOT / folder).rglob("*.ipynb")):
        cells = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        code = "\n".join("".join(cell) for cell in cells)
        yield path, "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("!", "%")))


def imported(code):
    """The top-level names that code imports, wherever in it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def targets(text):
    """The packages that a YAML names as `_target_`."""
    for target in re.findall(r"_target_: *['\"]?([\w.]+)", text):
        yield target.split(".")[0]


@functools.cache
def distributions():
    """What brings each top-level name, of all that is installed."""
    found = dict(packages_distributions())
    if sys.version_info < (3, 11):  # it knows those only that say so in top_level.txt
        for each in metadata.distributions():
            for top in {file.parts[0].removesuffix(".py") for file in each.files or () if file.suffix == ".py"}:
                found.setdefault(top, []).append(each.metadata["Name"])
    return found


@functools.cache
def own():
    """Python's and our own modules, the one that test_fork.py writes, and the package of a new project."""
    python = {"tomllib", *sys.stdlib_module_names}  # tomllib since 3.11, and tomli before
    ours = {path.stem for folder in ("tests", "scripts") for path in (ROOT / folder).rglob("*.py")}
    return ours | {"paribus", "hydra_plugins", "tests", "forked_functions", "PACKAGE"} | python


def undeclared(names, declared):
    """Names that are neither Python's nor ours, and that no declared distribution brings."""
    for name in sorted(set(names) - own()):
        if not {canonicalize_name(found) for found in distributions().get(name, [name])} & declared:
            yield name


@pytest.mark.parametrize(
    ("folder", "declared"), [("src", USED), ("tests", DECLARED), ("scripts", DECLARED), ("notebooks", DECLARED)]
)
def test_what_is_imported_is_declared(folder, declared):
    for path, code in sources(folder):
        for name in undeclared(imported(code), named(declared)):
            if name not in ELSEWHERE.get(path.name, ()):
                pytest.fail(MISSING.format(name, path.relative_to(ROOT)))


def test_what_the_configuration_names_is_declared():
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        for name in undeclared(targets(path.read_text()), named(USED)):
            pytest.fail(MISSING.format(name, path.relative_to(ROOT)))


def test_an_undeclared_import_is_seen():
    code = "def late():\n    import yaml.nodes, os.path\n    from _pytest import outcomes"
    assert list(undeclared(imported(code), {"pyyaml"})) == ["_pytest"]
    assert list(undeclared(imported(code), {"pytest"})) == ["yaml"]
    assert list(undeclared(targets("x: {_target_: nobody.has.This}"), named(USED))) == ["nobody"]


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_dependencies_have_a_lower_bound_and_no_upper(requirement):
    assert [bound.operator for bound in requirement.specifier] == [">="]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_one_version_of_everything_for_every_python(python):
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    here = [pin for pin in LOCK if pin.marker is None or pin.marker.evaluate(environment)]
    pins = {canonicalize_name(pin.name): pin for pin in here}
    assert len(pins) == len(here)
    for need in DECLARED:
        if need.marker is None or need.marker.evaluate(environment):
            [version] = pins[canonicalize_name(need.name)].specifier
            assert version.operator == "=="
            assert need.specifier.contains(version.version), f"{need} is locked as {version}: run `make lock`"


def test_every_python_that_is_tested_is_declared():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert [f"Programming Language :: Python :: {python}" for python in PYTHONS] == [
        line for line in PROJECT["classifiers"] if line.startswith("Programming Language")
    ]

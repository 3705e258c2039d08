"""Commands are files: what they are called, what help says of them, and that nothing else has to name them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import system
from click.testing import CliRunner

from paribus.cli import commands, main

FILES = [path for folder in main.PACKAGES.values() for path in sorted(folder.glob("[!_]*.py"))]
NAMES = list(main.cli.commands)
HELLO = '''"""Says hello.

To you.
"""

import click


@click.command()
@click.argument("name")
def command(name):
    click.echo(f"hello {name}")
'''


def test_every_file_is_a_command_and_a_command_is_one_file():
    assert len(NAMES) == len(FILES)
    own = sorted(path.stem for path in Path(commands.__file__).parent.glob("[!_]*.py"))
    assert {"plan", "table", "train"} <= set(own) <= set(NAMES)
    assert sorted(path.name for path in Path(main.__file__).parent.glob("*.py")) == ["__init__.py", "main.py"]


def test_tests_know_the_commands_of_extras():
    """A test that calls one is skipped where its extra was deleted."""
    found = {path.stem.rstrip("_"): path.parts[-3] for path in FILES if path.parts[-4] == "extras"}
    assert found == {name: extra for name, extra in system.COMMANDS.items() if system.NEEDS[extra].here()}


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_of_its_file_is_its_help(name):
    command = main.loaded(name)
    stand_in = main.cli.commands[name]
    assert command.name == name
    assert command.help.splitlines()[0] == stand_in.help, "the first line is what the list of commands says"
    assert command.help.partition("\n\n")[0] == stand_in.help, "the first line is a paragraph"
    assert command.callback.__doc__ is None
    assert command.get_short_help_str(60) == stand_in.get_short_help_str(60)


def test_a_new_file_is_a_new_command(tmp_path, monkeypatch):
    (tmp_path / "hello.py").write_text(HELLO)
    monkeypatch.setattr(main, "PACKAGES", {"paribus.cli.commands": tmp_path})
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])

    group = main.Commands("paribus")
    assert "hello  Says hello." in CliRunner().invoke(group, ["--help"]).output
    assert "To you." in CliRunner().invoke(group, ["hello", "--help"]).output
    assert CliRunner().invoke(group, ["hello", "you"]).output == "hello you\n"
    assert "Did you mean 'hello'?" in CliRunner().invoke(group, ["helo"]).output


def test_no_other_file_names_the_commands():
    text = Path(main.__file__).read_text()
    words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert not words & set(NAMES)


@pytest.mark.parametrize(("asked", "imported"), [(["--help"], []), (["table", "--help"], ["table"])])
def test_help_imports_the_command_that_it_is_about(asked, imported):
    code = f"""
import sys
sys.argv = ["paribus", *{asked!r}]
from paribus.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
found = sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("paribus.cli.commands."))
assert found == {imported!r}, found
slow = {{"hydra", "omegaconf", "numpy", "torch"}} & set(sys.modules)
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parsers_are_clicks():
    assert all(isinstance(main.loaded(name), click.Command) for name in NAMES)


def test_the_list_of_commands_is_in_the_order_of_a_study_and_no_line_is_cut():
    told = CliRunner().invoke(main.cli, ["--help"]).output
    sections = re.findall(r"^(\w.*):$", told, re.M)
    assert sections[:3] == ["Options", "Begin", "Plan and train"]
    assert "Others" not in sections
    assert "..." not in told.partition("Options:")[2]
    said = " ".join(told.split())
    for path in FILES:
        line = path.read_text().partition("\n")[0].strip('"')
        assert f"{path.stem.rstrip('_')} {' '.join(line.split())}" in said

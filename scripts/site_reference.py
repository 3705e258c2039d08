"""The reference part of the site: commands from click, options and keys from conf/, functions from docstrings.

Nothing of it is written twice: a page holds what the commands print, and the comments of the YAML files.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

import paribus
from paribus.cli.main import cli, loaded

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
CONFIGURATION = "reference/configuration.md"
API = "reference/api.md"
PACKAGE = re.compile(r"# @package (\S+)")
IDS = re.compile(r"(?<!\[)arXiv:(\d{4}\.\d{4,5})|doi:(\S+[^\s.,;)])")
PAGE = re.compile(r"\bdocs/([\w/-]+\.md)")  # as comments and help name them; commands and options lie two folders deep


def pages() -> dict[str, str]:
    """The generated pages by their place in docs/."""
    groups = sorted({path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} - {"."})
    return {
        **{f"reference/commands/{name}.md": command(name) for name in sorted(cli.commands)},
        CONFIGURATION: configuration(),
        **{option_page(group): options(group) for group in groups if not group.startswith("ablation")},
        option_page("ablation"): ablations([group for group in groups if group.startswith("ablation/")]),
        API: api(),
    }


def option_page(group: str) -> str:
    """Where the options of a config group are listed."""
    return (
        f"reference/options/{group.partition('/')[0] if group.startswith('ablation') else group.replace('/', '_')}.md"
    )


# Commands


def command(name: str) -> str:
    """What `paribus NAME --help` prints."""
    found = loaded(name)
    context = click.Context(found, info_name=f"paribus {name}")
    parameters = [record for each in found.get_params(context) if (record := each.get_help_record(context))]
    rows = [f"| `{declared}` | {cell(said)} |" for declared, said in parameters if said]
    usage = context.command.get_usage(context).removeprefix("Usage: ")
    parts = [f"# paribus {name}", linked(found.help or ""), f"```text\n{usage}\n```"]
    if rows:
        parts.append("\n".join(["| option | |", "|---|---|", *rows]))
    if "[OVERRIDES]" in usage and "OVERRIDES" not in (found.help or ""):  # which may say what they are
        parts.append(
            "OVERRIDES are those of Hydra: [all keys](../configuration.md), [config groups](../../options.md)."
        )
    return "\n\n".join([*parts, "[Examples of commands](../../commands.md)."]) + "\n"


# Configuration


def configuration() -> str:
    """conf/train.yaml: each key with its default and its comment."""
    text = (CONF / "train.yaml").read_text(encoding="utf-8")
    chosen = [
        f"| `{group}` | `{inline(option)}` |"
        for entry in yaml.safe_load(text)["defaults"]
        if isinstance(entry, dict)
        for group, option in entry.items()
        if option and not group.startswith("optional")
    ]
    return (
        "\n\n".join(
            [
                "# Keys of a run",
                "Everything that can change the result of a run has a key, and so has the place of its record. "
                "`paribus train KEY=VALUE` sets one. This is `conf/train.yaml`; the options of config groups add "
                "theirs ([options](../options.md)).",
                "## Keys",
                table(keys(text, ""), "key"),
                "## Options that are chosen",
                "\n".join(["| group | option |", "|---|---|", *chosen]),
            ]
        )
        + "\n"
    )


def options(group: str) -> str:
    """All files of a config group: their comments, and their keys with defaults."""
    files = sorted((CONF / group).glob("*.yaml"), key=lambda path: natural(path.stem))
    parts = [f"# Options of {group}", f"`{group}=NAME` chooses one of {len(files)} options."]
    for path in files:
        parts += [f"## {path.stem}", *option(group, path)]
    return "\n\n".join(parts) + "\n"


def option(group: str, path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    said, commands = comment(text)
    yield linked(said)
    if commands:
        yield "```bash\n" + "\n".join(commands) + "\n```"
    content = yaml.safe_load(text) or {}
    below = [str(entry) for entry in content.get("defaults", ()) if isinstance(entry, str) and entry != "_self_"]
    others = [
        f"`{key.removeprefix('override ').lstrip('/')}={value}`"
        for entry in content.get("defaults", ())
        if isinstance(entry, dict)
        for key, value in entry.items()
    ]
    if below:
        yield "Begins with: " + ", ".join(f"[{name}](#{name})" for name in below) + "."
    if others:
        yield "Chooses " + ", ".join(others) + "."
    if (target := content.get("_target_")) is not None:
        yield f"Class: `{target}`."
    package = PACKAGE.search(text)
    prefix = package[1].replace("_global_", "") if package else group.replace("/", ".")
    words = of_group(group)
    rows = [
        (key, default, said or words.get(key.rpartition(".")[2], ""))
        for key, default, said in keys(text, prefix)
        if not key.endswith(("_target_", "_partial_", "_convert_"))
    ]
    if rows:
        yield table(rows, "key")
    if (ROOT / "docs" / "cards" / group / f"{path.stem}.md").exists():
        yield f"[The card of {path.stem}](../../cards/{group}/{path.stem}.md): formula, source, cost, results."


def of_group(group: str) -> dict[str, str]:
    """What the cards of a group say about keys that several of its options have."""
    path = ROOT / "docs" / "cards" / f"{group}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["options"] if path.exists() else {}


def ablations(folders: list[str]) -> str:
    """The ablations that Paribus brings: question, time and command."""
    parts = [
        "# Ablations of Paribus",
        "`paribus train -m ablation=NAME` trains one. [The ablation file](../../ablation.md)"
        " says how to write your own.",
    ]
    for folder in folders:
        parts.append(f"## {folder.removeprefix('ablation/')}")
        for path in sorted((CONF / folder).glob("*.yaml")):
            said, commands = comment(path.read_text(encoding="utf-8"))
            parts += [f"### {path.stem}", linked(said), "```bash\n" + "\n".join(commands) + "\n```" if commands else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def comment(text: str) -> tuple[str, list[str]]:
    """The first comment of a YAML file, and the commands that it names."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not PACKAGE.match(line) and not line.startswith("# Card: "):
            lines.append(line.lstrip("#").strip())
    commands = [line.removeprefix("Command: ") for line in lines if line.startswith("Command: ")]
    said = "\n".join(line for line in lines if not line.startswith("Command: "))
    return re.sub(r"\n(?=[A-Z][\w ,-]*: )", "  \n", re.sub(r"\n(?![A-Z][\w ,-]*: )", " ", said)), commands


def keys(text: str, prefix: str) -> list[tuple[str, str, str]]:
    """(dotted key, default as written, comment) of a YAML file, without its defaults list."""
    root = yaml.compose(text)
    return list(_keys(root, text, f"{prefix}." if prefix else "")) if isinstance(root, yaml.MappingNode) else []


def _keys(node: yaml.MappingNode, text: str, prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        if key.value == "defaults":
            continue
        above = _above(text, key.start_mark)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            here = _beside(text, key.end_mark.index + 1)
            if said := " ".join(part for part in (above, here) if part):
                yield f"{prefix}{key.value}", "", said
            yield from _keys(value, text, f"{prefix}{key.value}.")
        else:
            written = text[value.start_mark.index : value.end_mark.index].strip()
            beside = _beside(text, value.end_mark.index)
            if "\n" in written:
                written, beside = inline(yaml.safe_load(yaml.serialize(value))), ""
            yield f"{prefix}{key.value}", written, " ".join(part for part in (above, beside) if part)


def _above(text: str, mark: Any) -> str:
    """The comment right above a key, as far in as the key."""
    lines = text[: mark.index - mark.column].splitlines()
    found: list[str] = []
    while lines and lines[-1].startswith(" " * mark.column + "#"):
        found.insert(0, lines.pop().strip()[1:])
    if not lines:  # the file begins with it, and says what the file is
        return ""
    listed = any(line.startswith("   ") for line in found)
    return ("\n" if listed else " ").join(line.strip() for line in found)


def _beside(text: str, index: int) -> str:
    found = re.match(r"[ \t]*#[ \t]*(.*)", text[index:])
    return found[1].strip() if found else ""


# The Python API


def api() -> str:
    """The public names of `paribus`, functions first."""
    names = [name for name in paribus.__all__ if not name.startswith("_")]
    found = [getattr(paribus, name) for name in names]
    parts = ["# Python API", "`import paribus`. [Paribus in Python](../python.md) has examples."]
    for head, is_kind in (("Functions", inspect.isfunction), ("Classes", inspect.isclass)):
        # By the module that defines it, since some functions are called like a module.
        parts += [f"## {head}", *(f"::: {each.__module__}.{each.__qualname__}" for each in found if is_kind(each))]
    return "\n\n".join(parts) + "\n"


# Cells


def inline(value: Any) -> str:
    """A value as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("\n...")


def table(rows: list[tuple[str, str, str]], first: str) -> str:
    lines = [f"| `{key}` | {f'`{default}`' if default else ''} | {cell(said)} |" for key, default, said in rows]
    return "\n".join([f"| {first} | default | |", "|---|---|---|", *lines])


def cell(text: str) -> str:
    return linked(text).replace("|", "&#124;").replace("\n", "<br>")


def linked(text: str) -> str:
    """arXiv and DOI identifiers and pages as links; what Markdown would take for marks stays as it is."""

    def link(match: re.Match[str]) -> str:
        number, doi = match.groups()
        return f"[{match[0]}](https://arxiv.org/abs/{number})" if number else f"[{match[0]}](https://doi.org/{doi})"

    text = PAGE.sub(r"[\g<0>](../../\1)", text)
    return IDS.sub(link, re.sub(r"(?<![`\w])([*_])(?=\S)", r"\\\1", text.replace("<", "&lt;")))


def natural(name: str) -> tuple[str, int]:
    """b2 before b16."""
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)

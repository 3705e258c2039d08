"""A project in lightning-hydra-template's layout, trained by Paribus: the few YAML files that this takes.

The project's own files are read and stay as they are. Its configuration is composed by Hydra, once for each option of
the groups of its module and of its data module, and each result becomes an option of Paribus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from paribus.base.atomic import write_atomically
from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.projects.composition import Composed, Configuration, Tree, configuration, inside
from paribus.projects.logged import names_logged, on_test, source_of
from paribus.projects.references import MISSING
from paribus.projects.script import Script, find_script
from paribus.projects.translation import Parts, Translation, find_parts, translate

_LIBRARIES = ("torch", "torchmetrics", "pytorch_lightning", "lightning", "pytorch_optimizer", "schedulefree", "paribus")
_MOST = 200  # options of a group


@dataclass
class Adopted:
    """files: path below the project -> text. notes: what could not be translated."""

    name: str
    root: Path
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ready: str | None = None  # what Paribus still says of the configuration; None where it takes it

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def adopt(
    folder: Path,
    overrides: Sequence[str] = (),
    first_file: Path | None = None,
    module: str | None = None,
    datamodule: str | None = None,
) -> Adopted:
    """Write the configuration of Paribus for the project in `folder`. No file of the project is changed.

    overrides: choices that its own training script would be given, as data=cifar. first_file: the first file of its
    configuration. module, datamodule: the sections that these are made from.

    Raises UserError for a folder that is no such project, and before a file would be overwritten.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise UserError(f"adopt takes the folder of a project, and {folder} is no folder")
    script = find_script(root, None if first_file is None else _config_file(first_file, root))
    if script.first_file.parent.resolve() == (root / "conf").resolve():
        raise UserError(
            f"the configuration of {root} lies in conf, where Paribus reads its own. Copy the project, rename that "
            "folder to configs there, and correct config_path in the training script"
        )
    adopted = Adopted(_name(root), root)
    with configuration(script.first_file, root) as source:
        _translate(adopted, source, script, overrides, module, datamodule)
    _write(adopted)
    adopted.ready = _what_is_missing(adopted)
    return adopted


def _config_file(first_file: Path, root: Path) -> Path:
    found = next((path for path in (root / first_file, first_file) if path.is_file()), None)
    if found is None:
        raise UserError(f"--config must be the first file of a configuration, got {first_file}, which is not there")
    return found.resolve()


def _name(root: Path) -> str:
    """The name of the task and of the first ablation."""
    name = re.sub(r"\W+", "_", root.name).strip("_").lower() or "project"
    name = name if name[0].isalpha() else f"project_{name}"
    taken = {path.stem for path in (config_dir() / "task").glob("*")} | {"module", "datamodule"}
    return f"{name}_project" if name in taken else name


def _translate(
    adopted: Adopted,
    source: Configuration,
    script: Script,
    overrides: Sequence[str],
    module: str | None,
    datamodule: str | None,
) -> None:
    whole = source.compose(overrides)
    parts = find_parts(whole.tree, script, module, datamodule)
    usual = translate(whole.tree, script, parts)
    for text in usual.notes:
        adopted.note(text)
    chosen: dict[str, str] = {}
    for part, section, node in (
        ("module", parts.module, usual.module),
        ("datamodule", parts.datamodule, usual.datamodule),
    ):
        if section is None or node is None:
            continue
        own = whole.choices.get(section)
        chosen[part] = own if isinstance(own, str) else adopted.name
        _add_option(adopted, part, chosen[part], node)
        for option in _others(adopted, source, section, whole):
            line = [*(each for each in overrides if not each.startswith(f"{section}=")), f"{section}={option}"]
            try:
                composed = source.compose(line)
                other = translate(composed.tree, script, parts)
            except (UserError, KeyError) as error:
                adopted.note(f"{section}={option} is left out: {error}")
                continue
            found = other.module if part == "module" else other.datamodule
            if found is None:
                continue
            for text in other.notes:
                if text not in adopted.notes and text.startswith(section):
                    adopted.note(f"with {section}={option}: {text}")
            _add_variables(usual, other)
            _note_further_choices(adopted, whole, composed, section, option)
            _add_option(adopted, part, option, found)
    _add_task(adopted, script, usual, chosen)
    _add_experiments(adopted, source, script, overrides, parts, whole, chosen)
    _add_ablation(adopted, script, usual, chosen)
    _note_packages(adopted)
    _note_import_path(adopted)
    for option in source.options("hparams_search"):
        _add_search(adopted, script, parts, option)


def _others(adopted: Adopted, source: Configuration, section: str, whole: Composed) -> list[str]:
    """The other options of the group of a section."""
    if not isinstance(whole.choices.get(section), str):
        return []
    options = [each for each in source.options(section) if each != whole.choices[section]]
    if len(options) > _MOST:
        adopted.note(f"{section} has {len(options)} options, of which the first {_MOST} are written")
    return options[:_MOST]


def _add_variables(usual: Translation, other: Translation) -> None:
    """Values that only another option refers to."""
    if "vars" in other.rest:
        usual.rest["vars"] = {**other.rest["vars"], **usual.rest.get("vars", {})}


def _note_further_choices(adopted: Adopted, whole: Composed, composed: Composed, section: str, option: str) -> None:
    """An option of the project may choose those of other groups; one of Paribus is a part of the task alone."""
    changed = [
        f"{group}={choice}"
        for group, choice in composed.choices.items()
        if not group.startswith((f"{section}", "hydra")) and whole.choices.get(group) != choice
    ]
    if changed:
        adopted.note(f"{section}={option} also chooses {', '.join(changed)}. In Paribus, choose both")


def _add_option(adopted: Adopted, part: str, option: str, node: Tree) -> None:
    adopted.files[f"conf/task/{part}/{option}.yaml"] = _text(None, node)


def _add_task(adopted: Adopted, script: Script, usual: Translation, chosen: Mapping[str, str]) -> None:
    trainer = usual.rest.pop("trainer", {})
    accelerator = trainer.pop("accelerator", None)
    head: Tree = {"defaults": [{"override /task": adopted.name}]}
    if accelerator is not None:
        head["defaults"].append({"override /trainer": "mps" if accelerator == "mps" else "gpu"})
    if trainer:
        head["trainer"] = trainer
    says = f"What `paribus train` starts from here: the choices that {script.place} makes by default."
    adopted.files["conf/train.yaml"] = _text(says, head)
    defaults: list[Any] = ["lightning", *({f"{part}@task.{part}": option} for part, option in chosen.items()), "_self_"]
    says = f"@package _global_\n# Made by `paribus adopt` from {script.first_file.relative_to(script.root)}."
    task = usual.rest.pop("task")
    adopted.files[f"conf/task/{adopted.name}.yaml"] = _text(says, {"defaults": defaults, **usual.rest, "task": task})
    usual.rest |= {"task": task, "trainer": trainer | ({"accelerator": accelerator} if accelerator else {})}


def _add_experiments(
    adopted: Adopted,
    source: Configuration,
    script: Script,
    overrides: Sequence[str],
    parts: Parts,
    whole: Composed,
    chosen: Mapping[str, str],
) -> None:
    """Each experiment of the project, as what it changes."""
    shipped = {path.stem for path in (config_dir() / "experiment").glob("*.yaml")}
    said: dict[str, list[str]] = {}  # note -> the experiments that it is true of
    sections = {"module": parts.module, "datamodule": parts.datamodule}
    for option in source.options("experiment"):
        try:
            composed = source.compose([*overrides, f"experiment={option}"])
            options = {part: composed.choices.get(str(sections[part])) for part in chosen}
            line = [f"{sections[part]}={each}" for part, each in options.items() if each]
            plain = translate(source.compose([*overrides, *line]).tree, script, parts)
            found = translate(composed.tree, script, parts)
        except (UserError, KeyError) as error:
            adopted.note(f"experiment={option} is left out: {error}")
            continue
        lost: list[str] = []
        before, after = _whole(plain), _whole(found)
        _take_back(before, after)
        changed = _difference(before, after, "", lost)
        if lost:
            text = f"{', '.join(lost)} is taken away, which an option of Paribus can't do. Write ~KEY"
            said.setdefault(text, []).append(option)
        for text in found.notes:
            if text not in adopted.notes and not text.startswith("logger "):
                said.setdefault(text, []).append(option)
        choices = [
            {f"override /task/{part}@task.{part}": each}
            for part, each in options.items()
            if each and each != chosen[part]
        ]
        name = f"{adopted.name}_{option}" if option in shipped else option
        says = f"@package _global_\n# Made by `paribus adopt` from the experiment {option} of the project."
        adopted.files[f"conf/experiment/{name}.yaml"] = _text(
            says, {"defaults": choices, **changed} if choices else changed
        )
    for text, options_of in said.items():
        adopted.note(f"with experiment={', '.join(options_of)}: {text}")


# What a key is where nothing sets it; null takes a metric or a flag away.
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "trainer": {
        "accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true",
        "deterministic": False, "profiler": None,
    },
    "evaluation": {"every": 1, "checkpoint": "last"},
}  # fmt: skip


def _take_back(before: Tree, after: Tree) -> None:
    """Gives `after` the usual value of what only `before` sets."""
    for name in before["task"]["metrics"]:
        after["task"]["metrics"].setdefault(name)
    if "seed" in before:
        after.setdefault("seed", 0)
    for section, usual in _USUAL.items():
        for key in before.get(section, {}):
            if key in usual:
                after.setdefault(section, {}).setdefault(key, usual[key])
    for flag in before.get("trainer", {}).get("flags", {}):
        after.setdefault("trainer", {}).setdefault("flags", {}).setdefault(flag)


def _whole(translation: Translation) -> Tree:
    task = {**translation.rest.get("task", {}), "module": translation.module}
    if translation.datamodule is not None:
        task["datamodule"] = translation.datamodule
    budget = dict.fromkeys(("epochs", "updates", "samples", "seconds"))
    return {**translation.rest, "task": task, "budget": {**budget, **translation.rest.get("budget", {})}}


def _difference(before: Tree, after: Tree, place: str, lost: list[str]) -> Tree:
    """What changes `before` into `after`. lost: is given the keys that are gone."""
    changed: Tree = {}
    for key, value in after.items():
        if isinstance(value, Mapping) and isinstance(old := before.get(key), Mapping):
            if inner := _difference(dict(old), dict(value), f"{place}{key}.", lost):
                changed[key] = inner
        elif key not in before or before[key] != value:
            changed[key] = value
    lost += [f"{place}{key}" for key in before if key not in after]
    return changed


def _add_search(adopted: Adopted, script: Script, parts: Parts, option: str) -> None:
    """A search by Optuna, over the same values."""
    file = script.first_file.parent / "hparams_search" / f"{option}.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        sweeper = content["hydra"]["sweeper"]
        params = {_moved(str(key).lstrip("+"), parts): value for key, value in sweeper["params"].items()}
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        adopted.note(
            f"hparams_search={option} is left out: it names no values to search. In an ablation, `tune` searches"
        )
        return
    for key in [key for key in params if not key.startswith(("task.", "seed"))]:
        adopted.note(f"hparams_search={option}: {key} is no argument of the module or data module. It is left out")
        del params[key]
    shipped = {path.stem for path in (config_dir() / "hparams_search").glob("*.yaml")}
    name = f"{adopted.name}_{option}" if option in shipped else option
    search = {
        "n_trials": sweeper.get("n_trials", 20),
        "n_jobs": sweeper.get("n_jobs", 1),
        "params": params,
    }
    says = f"@package _global_\n# Made by `paribus adopt` from {file.relative_to(script.root)}. Needs the extra hpo."
    defaults = [{"override /hydra/sweeper": "optuna"}]
    adopted.files[f"conf/hparams_search/{name}.yaml"] = _text(
        says, {"defaults": defaults, "hydra": {"sweeper": search}}
    )


def _moved(key: str, parts: Parts) -> str:
    """A key of the project, as it is called in a configuration of Paribus."""
    for section, place in parts.places.items():
        if key.startswith(f"{'.'.join(section)}."):
            return f"{place}{key.removeprefix('.'.join(section))}"
    return key


def _add_ablation(adopted: Adopted, script: Script, usual: Translation, chosen: Mapping[str, str]) -> None:
    """A first ablation, for the user to change: the learning rate, or the options of the module."""
    monitor = usual.rest["task"]["monitor"]
    if monitor == MISSING:
        return
    rate = _rate(usual.module, "task.module")
    options = [
        path.split("/")[-1].removesuffix(".yaml") for path in adopted.files if path.startswith("conf/task/module/")
    ]
    levels: list[Any] = [chosen["module"], *(each for each in options if each != chosen["module"])]
    factor = "task/module"
    if rate is not None:
        factor, levels = rate[0], [rate[1], float(f"{rate[1] / 10:.6g}")]
    if len(levels) < 2:
        return
    metric = on_test(monitor, names_logged(usual.module["_target_"], script.root))
    ablation: Tree = {
        "name": adopted.name, "factors": {factor: levels}, "seeds": 3, "metric": metric, "select_on": monitor,
        "smallest_effect": 0.005,
    }  # fmt: skip
    metrics = usual.rest["task"]["metrics"]
    better = next((metrics[name]["better"] for name in (metric, metric.rpartition("/")[2]) if name in metrics), None)
    if better is not None:
        hypothesis: Tree = {"id": f"{adopted.name}-1", "claim": f"{levels[0]} is better than {levels[1]}"}
        hypothesis |= {"arm": {factor: levels[0]}, "versus": {factor: levels[1]}}
        hypothesis["direction"] = "greater" if better == "higher" else "less"
        ablation["hypotheses"] = [hypothesis]
    says = (
        "@package _global_\n# A first ablation. Write here what you want to compare.\n"
        f"# Command: paribus train -m ablation={adopted.name}"
    )
    adopted.files[f"conf/ablation/{adopted.name}.yaml"] = _text(says, {"ablation": ablation})


def _rate(node: Any, place: str) -> tuple[str, float] | None:
    """The first learning rate in a node: (key, value)."""
    if isinstance(node, Mapping):
        for name in ("lr", "learning_rate"):
            if isinstance(value := node.get(name), float) and value > 0:
                return f"{place}.{name}", value
        for key, value in node.items():
            if (found := _rate(value, f"{place}.{key}")) is not None:
                return found
    return None


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _all_targets(adopted: Adopted) -> list[str]:
    nodes = [yaml.safe_load(text) for text in adopted.files.values()]
    return list(dict.fromkeys(target for node in nodes for target in _targets(node)))


def _note_packages(adopted: Adopted) -> None:
    """Paribus calls code of the project and of a few libraries; other packages are trusted by name."""
    others = {
        package
        for target in _all_targets(adopted)
        if "${" not in target
        and (package := target.partition(".")[0]) not in _LIBRARIES
        and source_of(target, adopted.root) is None
        and not (adopted.root / package).exists()
    }
    if any(target.startswith("torch.utils.data.") for target in _all_targets(adopted)):
        others.add("torch")
    if others:
        packages = ",".join(sorted(others))
        adopted.note(
            f"the configuration calls other packages. If you trust them, type: export PARIBUS_PACKAGES={packages}"
        )


def _note_import_path(adopted: Adopted) -> None:
    """`python src/train.py` also finds modules in src."""
    for target in _all_targets(adopted):
        path = source_of(target, adopted.root)
        if path is not None and not (adopted.root / target.partition(".")[0]).exists() and "src" in path.parts:
            adopted.note(f"{target} is imported from src, as `python src/train.py` does. Type: export PYTHONPATH=src")
            return


def _text(says: str | None, content: Tree) -> str:
    """A YAML file. says: its first comment."""
    head = "" if says is None else f"# {says}\n"
    if not content:
        return head + "{}\n"
    return head + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Lists of plain values stand in one line, mappings in several."""


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    plain = not any(isinstance(each, list | dict) for each in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, lambda dumper, value: _list(dumper, list(value)))


def _write(adopted: Adopted) -> None:
    """Raises UserError for files that are there already, before anything is written."""
    there = [name for name, text in adopted.files.items() if _differs(adopted.root / name, text)]
    if there:
        raise UserError(
            f"adopt overwrites nothing, and {', '.join(there[:5])}{' ...' if len(there) > 5 else ''} exist in "
            f"{adopted.root}. Move them away first"
        )
    for name, text in adopted.files.items():
        (adopted.root / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(adopted.root / name, text)


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != text
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True


def _what_is_missing(adopted: Adopted) -> str | None:
    """What Paribus says of the new configuration; None where it composes and has all that it needs."""
    with inside(adopted.root):
        try:
            Run.parse(resolved(load([])))
        except UserError as error:
            return str(error)
        except Exception as error:  # a value that is missing, or a resolver that nobody knows
            return " ".join(str(error).split())[:500]
    return None

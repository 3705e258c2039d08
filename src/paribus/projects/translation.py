"""One composed configuration of a project, as the sections of a configuration of Paribus with task=lightning."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paribus.base.errors import UserError
from paribus.projects.composition import Tree, at
from paribus.projects.logged import declarations, names_logged, source_of
from paribus.projects.references import MISSING, Path, References
from paribus.projects.script import DATAMODULE, MODULE, Made, Script

# Callbacks that only write to the terminal; Paribus has a line of progress of its own.
_SCREEN = ("RichProgressBar", "TQDMProgressBar", "ProgressBar", "RichModelSummary", "ModelSummary")
_PRECISION = {
    **{"16": "16-mixed", "32": "32-true", "64": "64-true", "bf16": "bf16-mixed"},
    **dict.fromkeys(("16-mixed", "bf16-mixed", "16-true", "bf16-true", "32-true", "64-true")),
}
_STRATEGIES = {"auto": "auto", "ddp": "ddp", "fsdp": "fsdp"}
# Arguments of the Trainer that Paribus sets itself, and that change no result.
_DROPPED = (
    *("_target_", "_convert_", "_recursive_", "default_root_dir", "logger", "callbacks", "enable_checkpointing"),
    *("enable_progress_bar", "enable_model_summary", "num_sanity_val_steps", "model_registry", "weights_save_path"),
    *("progress_bar_refresh_rate", "checkpoint_callback", "weights_summary", "enable_autolog_hparams"),
)
_ANY = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")


@dataclass(frozen=True)
class Parts:
    """The sections of a project that its module and its data module are made from. None: the module has the loaders."""

    module: str
    datamodule: str | None

    @property
    def places(self) -> dict[Path, str]:
        places = {tuple(self.module.split(".")): "task.module"}
        if self.datamodule is not None:
            places[tuple(self.datamodule.split("."))] = "task.datamodule"
        return places


@dataclass
class Translation:
    """module, datamodule: nodes. rest: the other sections, by their names in Paribus."""

    module: Tree
    datamodule: Tree | None
    rest: Tree
    notes: list[str] = field(default_factory=list)


def find_parts(tree: Tree, script: Script, module: str | None, datamodule: str | None) -> Parts:
    """The sections that the training script makes a module and a data module from.

    module, datamodule: the sections, where the user names them.

    Raises UserError where there is no module.
    """
    module = module or _section(tree, script, MODULE, "LightningModule")
    datamodule = datamodule or _section(tree, script, DATAMODULE, "LightningDataModule")
    for name, section in (("--module", module), ("--datamodule", datamodule)):
        if section is not None and not _is_node(tree, section):
            raise UserError(
                f"{name} must be a section of the configuration with a _target_, got {section}. It has "
                f"{', '.join(_nodes(tree)) or 'none'}"
            )
    if module is None:
        raise UserError(
            f"{script.first_file} has no section that makes a LightningModule ({', '.join(MODULE)}). Sections with a "
            f"_target_: {', '.join(_nodes(tree)) or 'none'}. Name it: --module SECTION"
        )
    return Parts(module, datamodule)


def _section(tree: Tree, script: Script, names: tuple[str, ...], kind: str) -> str | None:
    def suits(made: Made) -> bool:
        annotated = made.kind.rpartition(".")[2]
        return annotated == kind or (made.variable in names and not annotated.startswith("Lightning"))

    found = [made.section for made in script.made if suits(made)]
    return next((section for section in (*found, *names) if _is_node(tree, section)), None)


def _is_node(tree: Tree, section: str) -> bool:
    try:
        node = at(tree, section.split("."))
    except KeyError:
        return False
    return isinstance(node, Mapping) and isinstance(node.get("_target_"), str)


def _nodes(tree: Tree) -> list[str]:
    return [str(key) for key in tree if _is_node(tree, str(key))]


def translate(tree: Tree, script: Script, parts: Parts) -> Translation:
    """The configuration of Paribus that trains what this one of the project trains."""
    notes: list[str] = []

    def note(text: str) -> None:
        if text not in notes:
            notes.append(text)

    references = References(tree, _places(tree, parts), script.resolvers, note)
    for section in filter(None, (parts.module, parts.datamodule)):
        if not _is_node(tree, section):
            raise UserError("it names no class")
    module = _node(tree, parts.module, references, _given(script, parts.module), note, script)
    datamodule = None
    if parts.datamodule is not None:
        given = _given(script, parts.datamodule)
        datamodule = _node(tree, parts.datamodule, references, given, note, script)
    given_trainer = tree.get("trainer")
    trainer = dict(given_trainer) if isinstance(given_trainer, Mapping) else {}
    rest: Tree = {}
    seed = tree.get("seed")
    if isinstance(seed, int) and not isinstance(seed, bool):
        rest["seed"] = seed
    rest["budget"] = _budget(trainer, references, note)
    rest["trainer"] = _trainer(trainer, references, note)
    callbacks, evaluation, known = _callbacks(tree, references, note)
    if (every := trainer.get("check_val_every_n_epoch")) not in (None, 1):
        evaluation = {"every": references.value(every, ("trainer", "check_val_every_n_epoch")), **evaluation}
    rest["evaluation"] = evaluation
    rest["callbacks"] = callbacks
    rest["task"] = _measured(tree, script, module["_target_"], known, note)
    if references.variables:
        rest["vars"] = references.variables
    _note_the_rest(tree, script, note)
    return Translation(module, datamodule, {key: value for key, value in rest.items() if value != {}}, notes)


def _places(tree: Tree, parts: Parts) -> dict[Path, str]:
    """Where references to sections of the project lead in a configuration of Paribus."""
    places = parts.places
    if isinstance(tree.get("seed"), int):
        places[("seed",)] = "seed"
    trainer = tree.get("trainer")
    if isinstance(trainer, Mapping) and isinstance(trainer.get("max_epochs"), int) and trainer["max_epochs"] > 0:
        places[("trainer", "max_epochs")] = "budget.epochs"
    return places


def _given(script: Script, section: str) -> Made | None:
    return next((made for made in script.made if made.section == section), None)


def _node(
    tree: Tree, section: str, references: References, given: Made | None, note: Callable[[str], None], script: Script
) -> Tree:
    """A node with what the script adds to it."""
    node: Tree = references.value(at(tree, section.split(".")), tuple(section.split(".")))
    keywords = dict(given.keywords) if given else {}
    for name in ("_recursive_", "_convert_"):
        if name in keywords:
            node[name] = ast.literal_eval(keywords.pop(name))
    for name, text in keywords.items():
        node[name] = MISSING
        note(
            f"{section}: {script.place}:{given.line if given else 0} passes {name}={text}, made while it runs. "
            f"Write a value: {references.place(section)}.{name}"
        )
    for key, line, always in script.sets:
        if key.startswith(f"{section}."):
            if always:
                _put(node, key.removeprefix(f"{section}.").split("."), MISSING)
            note(
                f"{script.place}:{line} sets {key} while it runs. Paribus does not run the script. Write the value: "
                f"{references.place(section)}.{key.removeprefix(f'{section}.')}"
            )
    converted: Tree = _as_hydra_converts(node, node.get("_convert_", "none"), script)
    return converted | ({"_convert_": "none"} if node.get("_convert_", "none") == "none" else {})


def _put(node: Tree, path: list[str], value: Any) -> None:
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = value


def _as_hydra_converts(node: Any, convert: str, script: Script) -> Any:
    """A node whose classes get mappings and lists as Hydra gives them: DictConfig and ListConfig, unless it says so.

    Hydra hands `_convert_` down to nodes within; in Paribus each node says it for itself. Classes of libraries get
    plain lists: the lists of an optimizer are part of a checkpoint.
    """
    if isinstance(node, list):
        return [_as_hydra_converts(each, convert, script) for each in node]
    if not isinstance(node, Mapping):
        return node
    convert = node.get("_convert_", convert)
    made = {key: _as_hydra_converts(each, convert, script) for key, each in node.items()}
    holds = any(isinstance(value, list | Mapping) for key, value in node.items() if key not in _ANY)
    if convert == "none" and holds and source_of(str(node.get("_target_", "")), script.root) is not None:
        made["_convert_"] = "none"
    return made


def _budget(trainer: Tree, references: References, note: Callable[[str], None]) -> Tree:
    given = {
        unit: references.value(trainer[name], ("trainer", name))
        for unit, name in (("epochs", "max_epochs"), ("updates", "max_steps"))
        if trainer.get(name) not in (None, -1)
    }
    if trainer.get("max_time") is not None:
        if (seconds := _seconds(trainer["max_time"])) is None:
            note(f"trainer.max_time={trainer['max_time']} is not understood. Write budget.seconds")
        else:
            given["seconds"] = seconds
    if len(given) > 1:
        first, *others = given
        note(
            f"the trainer has several limits, and a run of Paribus one: it ends after budget.{first}={given[first]}, "
            f"and {', '.join(f'{unit}={given[unit]}' for unit in others)} is left out"
        )
        given = {first: given[first]}
    if not given:
        note("the trainer has no limit, and Lightning would train 1000 epochs: so does budget.epochs=1000. Choose one")
        given = {"epochs": 1000}
    return given


def _seconds(given: Any) -> int | None:
    if isinstance(given, str) and re.fullmatch(r"\d+:\d+:\d+:\d+", given):
        days, hours, minutes, seconds = map(int, given.split(":"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if isinstance(given, Mapping) and set(given) <= {"days", "hours", "minutes", "seconds"}:
        factors = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
        return int(sum(factors[key] * value for key, value in given.items()))
    return None


def _trainer(trainer: Tree, references: References, note: Callable[[str], None]) -> Tree:
    """Sections trainer and trainer.flags, where they differ from one process on the CPU."""
    values = {key: references.value(value, ("trainer", key)) for key, value in trainer.items() if key not in _DROPPED}
    if values.get("min_epochs") == 1:  # as Lightning does anyway
        del values["min_epochs"]
    found: Tree = {}
    for name in ("max_epochs", "max_steps", "max_time", "check_val_every_n_epoch"):
        values.pop(name, None)
    target = trainer.get("_target_")
    if target is not None and str(target).rpartition(".")[2] != "Trainer":
        note(f"trainer._target_={target} is left out. Lightning's own Trainer trains")
    accelerator = values.pop("accelerator", None)
    if accelerator in ("gpu", "cuda", "mps"):
        found["accelerator"] = accelerator
        note(f"trainer.accelerator={accelerator} is what the project asks for. Where there is none, write trainer=cpu")
    elif accelerator not in (None, "cpu"):
        note(f"trainer.accelerator={accelerator}: runs use the CPU unless you write trainer=gpu")
    if accelerator is None and values.get("gpus"):
        note(f"trainer.gpus={values.pop('gpus')}: runs use the CPU unless you write trainer=gpu")
    devices = values.pop("devices", None)
    if isinstance(devices, list):
        note(f"trainer.devices={devices}: Paribus takes their number, {len(devices)}, and not which they are")
        devices = len(devices)
    if isinstance(devices, int) and devices > 0:
        found["devices"] = devices
    elif devices not in (None, "auto", -1, "-1"):
        note(f"trainer.devices={devices} is left out. Write how many: trainer.devices=NUMBER")
    elif devices is not None:
        note(f"trainer.devices={devices}: each run uses one device unless you write trainer.devices=NUMBER")
    strategy = values.pop("strategy", None)
    if isinstance(strategy, str):
        found["strategy"] = _STRATEGIES.get(strategy.partition("_")[0], "auto")
        if strategy not in _STRATEGIES:
            note(f"trainer.strategy={strategy} is written as {found['strategy']}, which Paribus starts by itself")
    elif strategy is not None:
        note("trainer.strategy is an object, and Paribus has auto, ddp and fsdp. It is left out")
    if isinstance(devices, int) and devices > 1 and found.get("strategy", "auto") == "auto":
        found["strategy"] = "ddp"
    if isinstance(values.get("num_nodes"), int):
        found["num_nodes"] = values["num_nodes"]
    values.pop("num_nodes", None)
    precision = values.pop("precision", None)
    if precision is not None:
        if str(precision) in _PRECISION:
            found["precision"] = _PRECISION[str(precision)] or precision
        else:
            note(f"trainer.precision={precision} is left out. Paribus has {', '.join(map(str, _PRECISION))}")
    if values.get("deterministic") not in (None, False):
        found["deterministic"] = True
    values.pop("deterministic", None)
    if values.get("profiler") in ("simple", "advanced"):
        found["profiler"] = values["profiler"]
    values.pop("profiler", None)
    if values.pop("fast_dev_run", False):
        note("trainer.fast_dev_run is left out. Write budget.updates=1")
    for name in ("plugins", "barebones"):
        if values.pop(name, None):
            note(f"trainer.{name} is left out: Paribus sets it itself")
    usual = {"devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true"}
    found = {key: value for key, value in found.items() if usual.get(key) != value}
    if flags := {key: value for key, value in values.items() if value is not None}:
        found["flags"] = flags
    return found


def _callbacks(tree: Tree, references: References, note: Callable[[str], None]) -> tuple[Tree, Tree, dict[str, str]]:
    """(section callbacks, section evaluation, directions of the metrics that they follow)."""
    callbacks: Tree = {}
    evaluation: Tree = {}
    known: dict[str, str] = {}
    metric = _followed(tree.get("optimized_metric"), ("optimized_metric",), references)
    if metric is not None:
        known[metric] = ""
    for name, where, node in _objects(tree, "callbacks"):
        kind = node["_target_"].rpartition(".")[2]
        monitor = _followed(node.get("monitor"), (*where, "monitor"), references)
        if monitor is not None and kind in ("ModelCheckpoint", "EarlyStopping"):
            better = {monitor: "higher" if node.get("mode") == "max" else "lower"}
            known = {**better, **known, **better} if kind == "ModelCheckpoint" else {**known, **better}
        if kind == "ModelCheckpoint":
            if monitor is not None and node.get("save_top_k", 1) != 0:
                evaluation = {"checkpoint": "best"}
            if node.get("every_n_train_steps") or node.get("train_time_interval"):
                note(f"callbacks.{name}: Paribus compares weights after each validation, not in between")
        elif kind in _SCREEN:
            continue
        else:
            callbacks[name] = references.value(dict(node), where)
    return callbacks, evaluation, known


def _objects(tree: Tree, section: str) -> list[tuple[str, Path, Mapping[str, Any]]]:
    """(name, place, node) of the callbacks or loggers: of their own section, and of the trainer's argument.

    Several lie in a mapping or in a list. A mapping without _target_ makes none, in the template either.
    """
    found: list[tuple[str, Path, Mapping[str, Any]]] = []
    trainer = tree.get("trainer")
    within = trainer.get(section) if isinstance(trainer, Mapping) else None
    for where, nodes in (((section,), tree.get(section)), (("trainer", section), within)):
        if isinstance(nodes, Mapping) and "_target_" in nodes:
            nodes = [nodes]
        pairs = enumerate(nodes) if isinstance(nodes, list) else nodes.items() if isinstance(nodes, Mapping) else ()
        for key, node in pairs:
            if isinstance(node, Mapping) and isinstance(node.get("_target_"), str):
                name = str(key) if isinstance(nodes, Mapping) else node["_target_"].rpartition(".")[2].lower()
                found.append((name, (*where, str(key)), node))
    return found


def _followed(name: Any, where: Path, references: References) -> str | None:
    """A metric that the project follows; None where it names none."""
    value = references.value(name, where)
    if isinstance(value, str) and value.startswith("${vars."):
        value = at(references.variables, value[7:-1].split("."))
    return value if isinstance(value, str) and value != MISSING and "${" not in value else None


def _measured(tree: Tree, script: Script, target: str, known: dict[str, str], note: Callable[[str], None]) -> Tree:
    """task.metrics and task.monitor."""
    source = names_logged(target, script.root)
    names = source.names
    # A best value so far is followed by the value itself, of which Paribus keeps the best, if the module logs it.
    known = {
        plain if source.computed or name not in names or plain in names else name: better
        for name, better in known.items()
        for plain in (name.removesuffix("_best"),)
    }
    if not known and not declarations(names, {}):
        names = source.guessed
    metrics = declarations(names, known)
    followed = [name for name in known if not name.startswith(("train", "test"))]
    logged = [name for name in names if name.startswith("val") and declarations([name], {})]
    losses = [name for name in logged if "loss" in name]
    monitor = next(iter([*followed, *losses, *logged]), MISSING)
    if monitor == MISSING:
        note(
            f"the source of {target} names no metric of the validation. Write into conf/task what it logs, as metrics: "
            "{loss: {better: lower}} and monitor: val/loss"
        )
        metrics = metrics or {"loss": {"better": "lower"}}
    for name, entry in metrics.items():
        if entry["better"] is None:
            note(f"task.metrics.{name}.better: nothing says whether higher or lower is better. Write it")
    return {"metrics": metrics, "monitor": monitor}


def _note_the_rest(tree: Tree, script: Script, note: Callable[[str], None]) -> None:
    if loggers := [name for name, _, _ in _objects(tree, "logger")]:
        note(f"logger {', '.join(loggers)}: Paribus has its own; write logger=wandb, csv or tensorboard")
    if tree.get("ckpt_path"):
        note(f"ckpt_path={tree['ckpt_path']}: the same command resumes a run. Other initial weights are for the module")
    if tree.get("test") is False:
        note("test=False: Paribus tests every run at its end, with the test loader that there is")

"""Composes configurations outside of a Hydra application, and turns Hydra's errors into the user's remedies."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paribus.base.errors import UserError
from paribus.base.hydra_internals import hasten
from paribus.base.plain_yaml import LOADER
from paribus.base.text import near
from paribus.base.typed import typed
from paribus.config import config_dir
from paribus.config.ablations import shipped
from paribus.config.grammar import parsed, with_quotes
from paribus.config.modes import with_mode
from paribus.config.run import Run
from paribus.config.schema import optional
from paribus.config.unknown import unknown

hasten()

# Sections whose keys are arguments of classes.
_CLASSES = (
    "model",
    "loss",
    "optimizer",
    "scheduler",
    "augmentation",
    "callbacks",
    "logger",
    "task",
    "surface",
    "hydra",
)
_LABELS = ("group", "arm", "tags")


@contextmanager
def user_errors() -> Iterator[None]:
    """Raises Hydra's and OmegaConf's complaints about a configuration as UserError, with the nearest names."""
    try:
        yield
    except Exception as error:
        if not is_complaint(error):
            raise
        raise UserError(explain(error)) from error


LONGEST = 1000  # letters of a message
_NAMES = "options of a group have names (norm=batch), or are a list of names (norm=[batch,weight])"
_COMPOSERS = ("hydra", "omegaconf", "yaml", "antlr4")


def is_complaint(error: BaseException) -> bool:
    """Whether Hydra complains of a configuration: by its own exceptions, or by others raised within its code.

    Hydra meets much that is no configuration (a list in place of a mapping, a file that isn't text) with whatever
    exception comes of it.
    """
    if isinstance(error, UserError):
        return False
    if isinstance(error, HydraException | OmegaConfBaseException | yaml.YAMLError):
        return True
    packages, trace = [], error.__traceback__
    while trace is not None:
        packages.append(str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0])
        trace = trace.tb_next
    inner = next((name for name in reversed(packages) if name not in sys.stdlib_module_names), "")
    return inner in _COMPOSERS


def explain(error: BaseException) -> str:
    """A Hydra or OmegaConf error as one message that says what to type next."""
    text = str(error).strip()
    if not isinstance(error, OverrideParseException) and (broken := broken_file()):
        return broken
    if "hydra_plugins.hydra_optuna_sweeper." in text:
        return (
            "the sweeper of hydra-optuna-sweeper is not used: it needs optuna 2.10, and minimizes unless told. Leave "
            "hydra.sweeper._target_ out, and choose hydra/sweeper=optuna or hparams_search=optuna"
        )
    if isinstance(error, RecursionError):
        return "the defaults of an option file, or the interpolations of a value, form a circle"
    if isinstance(error, OverrideParseException):
        said = f"{error.override} is not an override ({text.splitlines()[0]})"
        usual = "key=value, group=option or +new.key=value"
        return f"{said}. Write {_as_ablation(error.override) or _with_its_key(error.override) or usual}"
    if missing := re.search(
        r"Could not find '([^']+)'\s*Available options in '([^']+)':\s*(.*?)(?:Config search path|$)",
        text,
        re.S,
    ):
        path, group, listed = missing.groups()
        wanted, options = (
            path.rsplit("/", 1)[-1],
            [line.strip() for line in listed.splitlines() if line.strip()],
        )
        return f"{group}={wanted} is not an option.{near(wanted, options, 3)} Options: {', '.join(options)}"
    if missing := re.search(r"In '[^']+': Could not load '([^']+)/([^'/]+)'", text):  # one of a list
        group, wanted = missing.groups()
        options = sorted({path.stem for root in search_path() for path in (root / group).glob("*.yaml")})
        return f"{group}={wanted} is not an option.{near(wanted, options, 3)} Options: {', '.join(options)}"
    if kind := re.search(r"^Config group override must be a string or a list. Got (\w+)", text):
        return f"{_NAMES}, got {kind[1]}"
    if twice := re.search(
        r"^(?:Multiple values for )?(\S+?)(?: appears more than once in the final|\. To override)", text
    ):
        return f"{twice[1]} has an option already, and +{twice[1]}=OPTION would add another. Write {twice[1]}=OPTION"
    if missing := re.search(r"Missing mandatory value: (?:.*\s+full_key: )?(\S+)", text):
        given = typed(missing[1], "VALUE")
        return f"{missing[1]} must be given: its option leaves it open. Write {given}, or put it into a YAML"
    if isinstance(error, TypeError) and (kind := re.fullmatch(r"argument of type '(\w+)' is not iterable", text)):
        return f"{_NAMES}, got a {kind[1]} in the list"
    if missing := re.search(r"Could not override '([^']+)'", text):  # of group={key: value} the cause names the key
        inner = re.search(r"full_key: (\S+)", str(error.__cause__ or ""))
        return _nearest_key(max(missing[1], inner[1] if inner else "", key=len))
    if unknown := re.search(r"Key '([^']+)' is not in struct\s*full_key: (\S+)", text):
        return _nearest_key(unknown.group(2))
    if missing := re.search(r"In '([^']+)': Could not find '([^']+)'", text):
        where, what = missing.groups()
        return f"{what}, named in the defaults of {where}.yaml, does not exist. Look in {config_dir()}"
    if text.startswith("Error merging override ") and (cause := str(error.__cause__ or "").strip()):
        override = text.removeprefix("Error merging override ").strip()
        if cause.startswith("Cannot merge DictConfig with ListConfig"):
            key, _, value = override.lstrip("+").partition("=")
            return f"{key} must be a list, got the mapping {value}. Write {typed(key, '[VALUE,VALUE]')}"
        return f"{override} can't be set: {cause.splitlines()[0]}"
    said = " ".join(line.strip() for line in text.splitlines() if line.strip())
    if not isinstance(error, HydraException | OmegaConfBaseException):
        said = f"Hydra can't compose a configuration from this: {type(error).__name__}: {said}"
    return said[:LONGEST] + (" ..." if len(said) > LONGEST else "")


def _as_ablation(word: str) -> str | None:
    """ablation=WORD, where there is a file of that name."""
    files = (root / "ablation" / f"{word}.yaml" for root in search_path())
    there = bool(re.fullmatch(r"[\w/-]+", word)) and (word in shipped() or any(path.is_file() for path in files))
    return f"ablation={word}" if there else None


def _with_its_key(override: str) -> str | None:
    """The override with the parts of its key that Hydra can't read as keys of a mapping; None where that is no help."""
    key, equals, value = override.partition("=")
    parts = key.lstrip("+").split(".")
    if not equals or len(parts) < 2 or not all(parts) or not parts[0].isidentifier():
        return None
    try:
        parsed(f"key={value}")
    except HydraException:
        return None
    return typed(parts, value, "+" if key.startswith("+") else "")


def broken_file() -> str | None:
    """What is wrong with the first file of the user's configuration that can't be read; None where all can."""
    for path in sorted(path for root in search_path() for path in root.rglob("*.yaml")):
        try:
            content = yaml.load(path.read_text(encoding="utf-8-sig"), LOADER)
        except OSError as error:
            return f"{path} can't be read: {error.strerror}. Options are files"
        except UnicodeDecodeError as error:
            return f"{path} must be text in UTF-8, but byte {error.start} is not. Save it as UTF-8"
        except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
            return f"{path} is not valid YAML: {' '.join(str(error).split())}. Correct or remove the file"
        if content is not None and not isinstance(content, dict):
            return (
                f"{path} must map keys to values, got {type(content).__name__}: {str(content)[:50]!r}. Correct the file"
            )
    return None


def _nearest_key(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "ablation" and len(parts) > 1:  # its parser knows which keys there are
        return f"{key} is not set in this ablation file. To add it, write {typed(key, 'VALUE', '+')}"
    own = parts[0] in _CLASSES or parts[:2] in (["data", "source"], ["norm", "activation"], ["norm", "weight"])
    added = typed(key, "VALUE", "+") if own and len(parts) > 1 else ""
    known = [each for each in _known_keys() if parts[0] == "hydra" or not each.startswith("hydra.")]
    return unknown(key, known) + (f" To add another argument of the class, write {added}" if added else "")


def _known_keys() -> list[str]:
    """Dotted keys and groups of the default configurations, for suggestions only."""
    roots = []
    for name in ("train", "surface"):
        with suppress(Exception):  # a suggestion must never hide the error it is for
            roots.append(OmegaConf.to_container(load([], name), resolve=False))
    keys: list[str] = []

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            for name, item in node.items():
                keys.append(f"{prefix}{name}")
                walk(f"{prefix}{name}.", item)

    for root in roots:
        walk("", root)
    groups = [str(path.relative_to(config_dir())) for path in config_dir().iterdir() if path.is_dir()]
    return sorted({*keys, *groups})


@contextmanager
def hydra_context() -> Iterator[None]:
    """A Hydra that can compose; the one that is already running, where there is one."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3", job_name="train"):
            yield


def load(overrides: Sequence[str], name: str = "train") -> DictConfig:
    """Compose train.yaml, or another root, with the overrides of a command line, with Hydra's own node."""
    with hydra_context():
        return compose(name, overrides=[with_quotes(with_mode(each)) for each in overrides], return_hydra_config=True)


def resolved(config: DictConfig) -> dict[str, Any]:
    """Plain nested dicts with every interpolation resolved, without Hydra's own node.

    Labels that name the environment stay as they are written: nothing is made of them, and they are shown to others.
    """
    container = {
        str(key): OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        if OmegaConf.is_config(value := config[key])
        else value
        for key in config
        if key != "hydra"
    }
    labels = OmegaConf.to_container(OmegaConf.masked_copy(config, [key for key in _LABELS if key in config]))
    assert isinstance(labels, dict)
    return completed(container, labels)


def completed(container: dict[str, Any], as_written: Mapping[Any, Any]) -> dict[str, Any]:
    """The same of a configuration whose interpolations were resolved otherwise. as_written: before they were."""
    for key in _LABELS:
        written = as_written.get(key)
        if isinstance(written, list):
            container[key] = [text if _asks(text) else own for text, own in zip(written, container[key], strict=True)]
        elif _asks(written):
            container[key] = written
    if "budget" in container:  # of a training: ~KEY leaves a key out, and some have a default
        for key, default in optional(Run).items():
            if key not in ("ablation", "vars", "task", "metrics"):
                container.setdefault(key, _plain(default))
    return container


def _plain(default: Any) -> Any:
    """A default of the schema as a configuration writes it."""
    if is_dataclass(default) and not isinstance(default, type):
        return asdict(default)
    return list(default) if isinstance(default, tuple) else default


def _asks(text: Any) -> bool:
    """Whether a text asks the environment for something."""
    return isinstance(text, str) and re.search(r"\$\{\s*oc\.env\b", text) is not None


def is_group(key: str) -> bool:
    """Whether a key names a config group (a folder of options)."""
    return "." not in key and any((root / key).is_dir() for root in search_path())


def search_path() -> list[Path]:
    """The folders that options are looked for in: the project's own, and ./conf of the current folder."""
    roots = [config_dir()]
    local = Path.cwd() / "conf"
    if local.is_dir() and local.resolve() != roots[0].resolve():
        roots.append(local)
    return roots


def group_options(group: str) -> list[str]:
    """The options of a config group, in order."""
    with hydra_context():
        loader: Any = GlobalHydra.instance().config_loader()
        return sorted(loader.repository.get_group_options(group))  # the loader's own method copies the repository


def parse_overrides(overrides: Sequence[str]) -> list[Any]:
    """Hydra's own parse of each override; glob() looks for options where a Hydra is initialized."""
    Plugins.instance()
    loader: Any = GlobalHydra.instance().config_loader() if GlobalHydra.instance().is_initialized() else None
    return OverridesParser.create(loader).parse_overrides([with_quotes(each) for each in overrides])

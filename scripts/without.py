"""Extras are deleted from a clean clone, and the rest is built, installed, used and tested without them.

    python scripts/without.py curvature
    python scripts/without.py surfaces curvature                 # both at once
    python scripts/without.py all -- tests/cli tests/sweep       # all at once; these tests only

Deleted with src/paribus/extras/NAME: its tests, the options of conf/ that name its classes, their cards, for cluster
its launchers, and for search the sweeper with its samplers. Tests of the rest that use a deleted extra are skipped, and
the last line counts them. Takes the packages of the Python that runs it. Ends with exit code 1 where anything fails.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXTRAS = sorted(path.parent.name for path in ROOT.glob("src/paribus/extras/*/__init__.py"))
PLUGINS = {"cluster": "src/hydra_plugins/paribus/cluster.py", "search": "src/hydra_plugins/paribus/study.py"}
OPTIONS = {"search": ["conf/hparams_search", "conf/hydra/sweeper/sampler", "conf/hydra/sweeper/pruner"]}
_PIP = (sys.executable, "-m", "pip", "--python")  # of this Python, for another one
DEMO = ("train", "-m", "ablation=demo", "budget.epochs=1", "ablation.seeds=2")


def delete(extra: str, root: Path) -> list[Path]:
    """Remove what belongs to an extra from a clone; the files and folders that were there."""
    named = [f"paribus.extras.{extra}."]
    if extra in PLUGINS:
        named.append("hydra_plugins.paribus." + Path(PLUGINS[extra]).stem)
    options = [
        path
        for path in root.glob("conf/**/*.yaml")
        if re.search(r"^\s*_target_: (" + "|".join(map(re.escape, named)) + ")", path.read_text(encoding="utf-8"), re.M)
    ]
    chosen = {f"{path.parent.name}/{path.stem}" for path in options}
    options += [
        path
        for path in root.glob("conf/*/*.yaml")
        if chosen & {f"{path.parent.name}/{name}" for name in _defaults(path)}
    ]
    options += [  # roots, such as surface.yaml
        path
        for path in root.glob("conf/*.yaml")
        if chosen & {f"{group}/{name}" for each in _pairs(path) for group, name in each.items()}
    ]
    cards = [
        root / "docs" / "cards" / path.parent.name / f"{path.stem}{end}" for path in options for end in (".md", ".yaml")
    ]
    folders = [root / "src" / "paribus" / "extras" / extra, root / "tests" / "extras" / extra]
    others = [root / each for each in (PLUGINS.get(extra), *OPTIONS.get(extra, ())) if each]
    found = [path for path in (*folders, *options, *cards, *others) if path.exists()]
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def _defaults(path: Path) -> list[str]:
    """The options of its own group that an option is composed of."""
    return [each for each in _list(path) if isinstance(each, str)]


def _pairs(path: Path) -> list[dict[str, str]]:
    """Those of other groups, each as {group: option}."""
    return [each for each in _list(path) if isinstance(each, dict)]


def _list(path: Path) -> list[Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return list(content.get("defaults", ())) if isinstance(content, dict) else []


def run(*command: str | Path, cwd: Path) -> bool:
    print("$", *command, flush=True)
    return subprocess.run(list(map(str, command)), cwd=cwd).returncode == 0


def works_without(extras: list[str], tests: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "paribus"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
        for path in (path for extra in extras for path in delete(extra, root)):
            print(f"deleted {path.relative_to(root)}")
        environment, wheels = Path(folder) / "environment", Path(folder) / "wheels"
        run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=root)
        own = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
        (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        python = environment / "bin" / "python"
        return (
            run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=root)
            and run(*_PIP, python, "install", "--quiet", "--no-deps", *wheels.glob("*.whl"), cwd=root)
            and run(python, "-m", "paribus", *DEMO, cwd=Path(folder))
            and run(python, "-m", "pytest", "-q", *tests, cwd=root)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*EXTRAS, "all"]
    parser.add_argument("extras", nargs="+", choices=names, metavar="EXTRA", help=", ".join(names))
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    extras = parser.parse_args(words[:end]).extras
    sys.exit(0 if works_without(EXTRAS if "all" in extras else extras, words[end + 1 :] or ["tests"]) else 1)


if __name__ == "__main__":
    main()

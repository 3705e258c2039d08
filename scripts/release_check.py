"""A release before it is one: wheel and sdist, their metadata, and the wheel alone in empty environments.

python scripts/release_check.py              with each of Python 3.10 to 3.13 that is there
python scripts/release_check.py 3.12         with these

Each environment has the wheel and what it depends on, nothing else. In it, outside the checkout and in a folder with a
space and Chinese characters, run the demo and the files and commands of two tutorials, with small budgets. It needs a
package index; uv's variables (UV_FIND_LINKS, UV_CONSTRAINT, UV_TORCH_BACKEND) say which.
"""

from __future__ import annotations

import argparse
import email
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from doc_blocks import blocks, commands, smaller, written
from packaging.metadata import Metadata

from paribus.base.version import __version__

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
PLACE = "a study 汉字"
TUTORIALS = ("first-ablation", "own-module")
DEMO = ("ablation=demo", "budget.epochs=1")
UNPACKED = (".ci/", ".github/", ".pre-commit-config.yaml")  # of the repository, not of its source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"default: {', '.join(VERSIONS)}")
    asked = parser.parse_args().versions
    with tempfile.TemporaryDirectory(prefix="paribus-release-") as name:
        folder = Path(name)
        wheel, sdist = build(folder / "dist")
        check_metadata(wheel)
        if lost := missing(sdist):
            raise SystemExit(f"the sdist lacks {', '.join(lost[:10])}")
        print(f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB), {sdist.name} ({sdist.stat().st_size / 1e6:.1f} MB)")
        tried = 0
        for version in asked or VERSIONS:
            if (python := interpreter(version)) is None:
                if asked:
                    raise SystemExit(f"there is no Python {version}")
                print(f"Python {version}: left out, there is none")
                continue
            began = time.monotonic()
            study(installed(wheel, python, folder / f"env {version}"), folder / version / PLACE)
            print(f"Python {version}: {time.monotonic() - began:.0f} s", flush=True)
            tried += 1
        if not tried:
            raise SystemExit(f"none of Python {', '.join(VERSIONS)} is there")


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel, built from the sdist, and the sdist."""
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"nothing could be built:\n{done.stdout}{done.stderr}")
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def check_metadata(wheel: Path) -> None:
    """Raises an exception group for fields that the standard does not allow, and SystemExit for what we don't want."""
    with zipfile.ZipFile(wheel) as packed:
        [name] = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        text = packed.read(name).decode()
    found = Metadata.from_email(text, validate=True)
    supported = {each.rpartition(" ")[2] for each in found.classifiers or () if "Python :: 3." in each}
    wrong = [
        *(["its version"] if str(found.version) != __version__ else []),
        *(["the versions of Python"] if supported != set(VERSIONS) else []),
        *(["its README"] if not email.message_from_string(text).get_payload() else []),
        *(["a URL, which nobody has tried"] if found.project_urls or found.home_page else []),
    ]
    if wrong:
        raise SystemExit(f"{wheel.name} is wrong in {', '.join(wrong)}")


def missing(sdist: Path) -> list[str]:
    """Files of the repository that the sdist lacks."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tarfile.open(sdist) as packed:
        there = {name.partition("/")[2] for name in packed.getnames()}
    return [name for name in listed.splitlines() if name not in there and not name.startswith(UNPACKED)]


def interpreter(version: str) -> Path | None:
    """On the path, or one of pyenv's, whose shims fail for versions that are not selected."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (shutil.which(f"python{version}"), *sorted(home.glob(f"{version}.*/bin/python"))):
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return Path(found)
    return None


def installed(wheel: Path, python: Path, home: Path) -> Path:
    """The interpreter of a new environment with the wheel and what it depends on: torch for CPUs, unless UV_FIND_LINKS
    says where wheels are (and UV_CONSTRAINT, which of them)."""
    own = {**({} if "UV_FIND_LINKS" in os.environ else {"UV_TORCH_BACKEND": "cpu"}), **os.environ}
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    made = home / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", str(python), str(home)], check=True, env=own)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(made), str(wheel)], check=True, env=own)
    return made


def study(python: Path, place: Path) -> None:
    """The demo, a new project, and two tutorials, by the commands alone. Raises SystemExit for one that fails."""
    place.mkdir(parents=True)
    for words in (["--version"], ["doctor"], ["new", "my study"]):
        run(python, place, words)
    for words in demo():
        run(python, place, words)
    for name in TUTORIALS:
        own = place / name
        own.mkdir()
        for block in map(smaller, blocks(ROOT / "docs" / "tutorials" / f"{name}.md")):
            if written(block, own) is None:
                for each in commands(block):
                    run(python, own, each)
    for made in ("table.md", "report.html", "own-module/table.tex"):
        if not (place / made).is_file():
            raise SystemExit(f"the commands did not make {made}")


def demo() -> Iterator[list[str]]:
    """The lines of `make demo`."""
    yield ["train", "-m", *DEMO]
    yield ["table", *DEMO, "-o", "table.md"]
    yield ["figures", *DEMO, "-o", "figures"]
    yield ["report", *DEMO, "-o", "report.html"]


def run(python: Path, folder: Path, words: Sequence[str]) -> None:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PARIBUS_", "VIRTUAL_"))}
    done = subprocess.run(
        [str(python), "-m", "paribus", *words],
        cwd=folder, env={**own, "WANDB_MODE": "offline", "MPLBACKEND": "Agg"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(
            f"paribus {' '.join(words)}, in {folder}, ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )


if __name__ == "__main__":
    main()

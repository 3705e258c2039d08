"""Programs, data and extras of Paribus that some tests need: what is missing, and Debian's packages that bring it.

`python tests/helpers/system.py` installs what is missing where it can: on a machine with apt-get, as root. Elsewhere
it does nothing, and those tests are skipped. It runs before the virtual environment exists: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_BROWSER = Path("/Applications/Google Chrome.app")
EXTRAS = ("stack", "curvature", "surfaces", "lightning", "wandb", "exchange", "cluster", "search")


@dataclass(frozen=True)
class Need:
    """name: as it is printed. here: whether this machine has it. packages: Debian's, which bring it; none of extras."""

    name: str
    here: Callable[[], bool]
    packages: tuple[str, ...]


def _browser() -> bool:
    return _programs("chromedriver") and (any(map(_programs, BROWSERS)) or MAC_BROWSER.exists())


def _latex() -> bool:
    if not _programs("pdflatex", "pdftotext", "kpsewhich"):
        return False
    styles = ["booktabs.sty", "geometry.sty", "siunitx.sty"]
    return subprocess.run(["kpsewhich", *styles], capture_output=True).stdout.count(b"\n") == len(styles)


def _programs(*names: str) -> bool:
    return all(shutil.which(name) for name in names)


def _extra(name: str) -> Need:
    """An extra may be deleted, with its tests; those tests of the rest that use it are skipped then."""
    folder = Path(__file__).parents[2] / "src" / "paribus" / "extras" / name
    return Need(f"the extra {name}", (folder / "__init__.py").is_file, ())


# Whose command it is. A test that calls one of a deleted extra is skipped.
COMMANDS = {
    **dict.fromkeys(("export", "import"), "exchange"),
    **dict.fromkeys(("landscape", "surface"), "surfaces"),
    **dict.fromkeys(("dashboard", "sync"), "wandb"),
    "curvature": "curvature",
    "search": "search",
}
NEEDS = {
    "browser": Need("a browser with its driver", _browser, ("chromium", "chromium-driver")),
    "latex": Need("LaTeX", _latex, ("texlive-latex-recommended", "texlive-science", "poppler-utils")),
    "compiler": Need("a C++ compiler", lambda: _programs("g++"), ("g++",)),
    "fashion": Need("Fashion-MNIST", Path("/usr/share/datasets/fashion-mnist").is_dir, ("dataset-fashion-mnist",)),
    "words": Need("a word list", Path("/usr/share/dict/words").is_file, ("wamerican",)),
    **{name: _extra(name) for name in EXTRAS},
}


def reason(need: str) -> str:
    """Why a test is skipped; `summary` reads it back."""
    return f"needs {NEEDS[need].name}"


def summary(reasons: Iterable[str]) -> str:
    """One line about the tests skipped for these reasons; empty where none was skipped for want of a need."""
    counts = Counter(reasons)
    missing = {key: count for key in NEEDS if (count := counts[reason(key)])}
    if not missing:
        return ""
    names = ", ".join(f"{NEEDS[key].name} ({count})" for key, count in missing.items())
    packages = " ".join(package for key in missing for package in NEEDS[key].packages)
    total = sum(missing.values())
    remedy = f". As root: apt-get install {packages}" if packages else ""
    return f"{total} test{'s' * (total > 1)} skipped for want of {names}{remedy}"


def install() -> None:
    """Installs what is missing. A failure is said and does no harm: those tests are skipped."""
    missing = [need for need in NEEDS.values() if need.packages and not need.here()]
    apt = shutil.which("apt-get")
    if not missing or apt is None or os.geteuid() != 0:
        return
    print("installing for the tests:", ", ".join(need.name for need in missing), flush=True)
    packages = [package for need in missing for package in need.packages]
    patient = ["-qq", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [apt, *patient, *command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            print(f"apt-get {command[0]} failed: {done.stderr.strip() or done.stdout.strip()}", file=sys.stderr)


if __name__ == "__main__":
    install()

"""`paribus train` works from any folder after installing the built wheel: the config tree travels inside it."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).parents[1]
release = scripts.load("release_check")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment with the wheel, and this environment's packages behind it (without this checkout)."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    home = folder / "venv"
    venv.create(home, with_pip=False)
    site = next((home / "lib").glob("python*")) / "site-packages"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
    )
    # A path file after the wheel's own folder: our dependencies, but not the editable install of this checkout.
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(ours) + "\n")
    return home


def run(installed, folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PARIBUS_OUTPUTS")}
    return subprocess.run(
        [str(installed / "bin" / "python"), "-m", "paribus", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )


def test_the_wheel_brings_its_configuration(installed, tmp_path):
    where = run(installed, tmp_path, "--version")
    assert where.returncode == 0, where.stderr
    code = "import paribus.config as c; print(c.config_dir())"
    found = subprocess.run(
        [str(installed / "bin" / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(installed)), found.stdout
    result = run(installed, tmp_path, "train", "-m", "model=mlp", "debug=fdr", "norm=none,layer")
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("outputs/runs/*/record.json"))) == 2
    table = run(installed, tmp_path, "table")
    assert table.returncode == 0, table.stderr
    assert "norm" in table.stdout
    new = run(installed, tmp_path, "new", "mine")  # from the files of its template
    assert new.returncode == 0, new.stderr
    assert (tmp_path / "mine" / ".gitignore").is_file()
    assert (tmp_path / "mine" / "conf" / "task" / "mine.yaml").is_file()
    report = run(installed, tmp_path, "report")  # with its template, style and scripts
    assert report.returncode == 0, report.stderr
    page = (tmp_path / "report.html").read_text()
    assert all(part in page for part in ("class Chart", "prefers-color-scheme", "<dialog"))


def test_no_nvidia_package_came_with_torch():
    import importlib.metadata

    import torch

    names = {(dist.metadata["Name"] or "").lower() for dist in importlib.metadata.distributions()}
    if torch.version.cuda is None:  # a CPU build must have stayed one
        assert not {name for name in names if name.startswith(("nvidia", "torchvision", "triton"))}


def test_the_wheel_says_that_it_is_typed(installed):
    [marker] = installed.glob("lib/python*/site-packages/paribus/py.typed")
    assert marker.read_text() == ""


@pytest.mark.slow
def test_the_demo_and_two_tutorials_outside_the_checkout(installed, tmp_path):
    """With this environment's packages; `make release-check` installs the wheel's own."""
    release.study(installed / "bin" / "python", tmp_path / release.PLACE)


@pytest.mark.slow
def test_wheel_and_sdist_are_whole(tmp_path):
    wheel, sdist = release.build(tmp_path)
    release.check_metadata(wheel)
    assert release.missing(sdist) == []

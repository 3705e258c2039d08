"""The surroundings of a command: its streams, its folder, its options. Nothing is ignored in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PARIBUS = [sys.executable, "-m", "paribus"]


def shell(line, cwd, **more):
    run = subprocess.run(
        ["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=90, env=os.environ | more
    )
    return run.returncode, run.stderr


@pytest.mark.parametrize("command", ["runs", "plan norm=none", "--help"])
def test_a_full_disk_behind_stdout_is_one_message(tmp_path, command):
    code, said = shell(f"{' '.join(PARIBUS)} {command} > /dev/full", tmp_path)
    assert code == 1
    assert said.startswith("error: storage: ")
    assert len(said.splitlines()) == 1


def test_streams_that_are_closed_are_no_mistake(tmp_path):
    assert shell(f"{' '.join(PARIBUS)} runs <&- >&- 2>&-", tmp_path) == (0, "")


def test_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    code, said = shell(f"rmdir $PWD && {' '.join(PARIBUS)} plan", tmp_path / "gone")
    assert code == 2
    assert said.startswith("error: the current folder can't be used")


def test_letters_that_the_terminal_does_not_know(tmp_path):
    line = f"{' '.join(PARIBUS)} runs --sort 归一"
    assert shell(line, tmp_path, PYTHONIOENCODING="latin-1")[0] == 0  # no runs, so no key is unknown
    code, said = shell(f"{' '.join(PARIBUS)} plan norm=归一", tmp_path, PYTHONIOENCODING="latin-1")
    assert code == 2
    assert "norm=\\u5f52\\u4e00 is not an option" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sync --dry-run --wait nan", "finite"),
        ("sync --dry-run --wait -1", "range"),
        ("sync --dry-run --yes", "--yes has no effect"),
        ("sync --dry-run --project a/b", "project"),
        ("gc --dry-run --yes", "--yes has no effect"),
        ("gc --recent 99999999999999d", "1000 years"),
        ("table --format csv --sort", "--sort has no effect"),
        ("table ablation=demo --by norm", "--by norm"),
        ("export optimizer=adam -o x.csv", "optimizer=adam has no effect without ablation=NAME"),
        ("sync optimizer=adam --dry-run", "optimizer=adam has no effect without ablation=NAME"),
        ("import . --wait 5", "--wait has no effect"),
        ("import nowhere", "nowhere"),
        ("figures abc ablation=demo", "ablation=demo"),
        ("landscape abc --points 100000000", "points"),
        ("landscape abc --span inf", "range"),
        ("landscape abc -o plane.png", "pictures are written into a folder"),
        ("curvature abc --seed -1", "seed"),
        ("runs --newer 1d --older 2d", "older than 2d"),
        ("runs norm=a norm=b", "norm is given twice"),
        ("evaluate abc --outputs nowhere", "--outputs"),
        ("plan hydra.launcher.slots=0", "hydra.launcher.slots"),
        ("plan +hydra.launcher.slotz=1", "Did you mean slots?"),
        ("plan members=x", "members"),
        ("plan seed=range(0)", "no values"),
        ("plan seed=range(0,1e12)", "1,000,000"),
        ("plan seed=range(0,9,0)", "seed=range(0,9,0)"),
        ("plan norm=glob(x*)", "no values"),
        ("plan data.batch_size=0", "data.batch_size"),
        ("train seed=1 seed=2", "seed is given twice"),
        ("train clip.norm=1 ++clip.norm=2", "clip.norm is given twice"),
    ],
)
def test_what_has_no_effect_or_no_meaning_is_refused(paribus, line, said):
    result = paribus(*line.split())
    assert result.code == 2, result.out
    assert said in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1,\n", "not valid YAML"), (b"# \xe9\na: 1\n", "UTF-8"), (b"a: 1\0\n", "not valid YAML"),
        (b"defaults: [mine]\n", "form a circle"), (b"- 1\n", "norm"),
    ],
)  # fmt: skip
def test_an_option_file_that_is_none(paribus, tmp_path, content, said):
    (tmp_path / "conf" / "norm").mkdir(parents=True)
    (tmp_path / "conf" / "norm" / "mine.yaml").write_bytes(content)
    result = paribus("train", "norm=mine", "model=mlp")
    assert result.code == 2, result.err
    assert said in result.err


NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_outputs))
"""


def test_modules_of_the_current_folder_are_found(paribus, tmp_path):
    """By the installed command, in front of whose search path Python does not put the current folder."""
    (tmp_path / "mynet.py").write_text(NET)
    command = Path(sys.executable).with_name("paribus")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("_target_: mynet.Net\n")
    line = ["train", "model=mine", "norm=none", "data.subset=60", "data.batch_size=20", "budget.updates=1"]
    code, said = shell(" ".join([str(command), *line]), tmp_path)
    assert code == 0, said
    done = paribus(*line, "model._target_=mynot.Net")
    assert done.code == 2
    assert "mynot, which is neither installed nor in the current folder" in done.err

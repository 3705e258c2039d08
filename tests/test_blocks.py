"""Blocks of code in README.md and docs/: each is run by a test, with small budgets; this file runs what no other does.

Names of the pages such as RUN and NAME stand for what a reader has, and are replaced.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import scripts
import yaml

from paribus.store.store import Store

ROOT = Path(__file__).parents[1]
COMMENT = re.compile(r"\s+#( .*)?$")
doc_blocks = scripts.load("doc_blocks")
# Pages whose blocks another test runs.
ELSEWHERE = {
    "AGENTS.md": "test_agents.py",
    "docs/adopt.md": "test_project_pages.py",
    "docs/callbacks.md": "test_callbacks_page.py",
    "docs/data.md": "test_data_page.py",
    "docs/data-source.md": "test_data_page.py",
    "docs/lightning.md": "test_lightning_page.py",
    "docs/machines.md": "sweep/test_nodes.py",  # and within SLURM, extras/cluster/test_slurm.py
    "docs/metrics.md": "test_metrics_page.py",
    "docs/model.md": "test_model_page.py",
    "docs/new.md": "test_project_pages.py",
    **{
        f"docs/tutorials/{name}.md": "test_tutorials.py"
        for name in ("first-ablation", "own-module", "paper", "slurm", "template")
    },
}
# Pages without a command or a file to write: names of make's targets, which test_readme.py compares, and of packages.
WORDS = {"CONTRIBUTING.md", "docs/install.md"}
# Commands that want what no machine has by itself, and the tests that run them there.
NOT_HERE = {
    "hydra/launcher=ray": "tests/extras/cluster",  # a cluster
    "sync --yes": "tests/extras/wandb",  # a server
    "sync --project": "tests/extras/wandb",
    "import wandb:": "tests/extras/exchange",
    "import logs/train": "tests/extras/exchange",  # runs of another project
}
MINE = """# @package _global_
defaults:
  - override /data: digits
  - override /model: mlp
model: {width: 16}
data: {subset: 200}
budget: {epochs: 2}
ablation:
  name: mine
  factors: {norm: [none, batch]}
  tune: {optimizer.lr: [0.03, 0.1]}
  seeds: {tune: 1, report: 2}
  smallest_effect: 0.01
  hypotheses:
    - {id: mine-1, claim: batch norm tests better, arm: {norm: batch}, versus: {norm: none}}
"""
QUICK = ("data.subset=100", "budget.epochs=1")
HERE = {
    "docs/cluster.md": ("cluster",),
    "docs/commands.md": ("search", "stack", "exchange"),
    "docs/curvature.md": ("curvature", "surfaces"),
    "docs/figures.md": (),
    "docs/index.md": (),
    "docs/language.md": (),
    "docs/running.md": ("search",),
    "docs/stacks.md": ("stack",),
    "docs/wandb.md": ("wandb", "exchange"),
}
WITH_FILES = {"README.md", "docs/ablation.md", "docs/tuning.md", "docs/torch-classes.md", "docs/python.md"}


def blocks(page):
    """The indented blocks of a page, without their margin; lines that end in a backslash go on."""
    return [block.replace("\\\n", " ") for block in doc_blocks.blocks(ROOT / page)]


def commands_of(block):
    return [COMMENT.sub("", line) for line in block.splitlines() if line.startswith("paribus ")]


def with_blocks():
    """Pages that hold code. A test of its own looks at those of results, which a script makes."""
    pages = [ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md")] + [*(ROOT / "docs").rglob("*.md")]
    names = [page.relative_to(ROOT).as_posix() for page in pages]
    made = ("docs/results/", "docs/zh/")  # Chinese editions have the same code (test_tutorials.py, test_readme.py)
    return {name for name in names if not name.startswith(made) and blocks(name)}


def test_every_page_with_code_is_run_by_a_test():
    assert with_blocks() == {*ELSEWHERE, *WORDS, *HERE, *WITH_FILES}
    assert all((ROOT / "tests" / name).exists() for name in ELSEWHERE.values())
    assert all((ROOT / name).is_dir() for name in NOT_HERE.values())


def test_every_command_of_the_pages_of_results_has_a_name_that_exists():
    from paribus.notes import ablations
    from paribus.notes.checks.catalogue import CHECKS

    ids = {check.id for check in CHECKS}
    for name in ablations.names():
        given = yaml.safe_load((ROOT / "conf" / "ablation" / "notes" / f"{name}.yaml").read_text(encoding="utf-8"))
        ids |= {each["id"] for each in given["ablation"].get("hypotheses", ())}
    for page in (ROOT / "docs" / "results").rglob("*.md"):
        for block in blocks(page.relative_to(ROOT)):
            for line in commands_of(block):
                [name] = re.findall(r"ablation=(\w+)|--only (\S+)", line)
                assert name[0] in ablations.names() or name[1] in ids, line


# Commands


@pytest.fixture
def folder(tmp_path, commands):
    """A folder with an ablation, its runs, one more run, and files that the pages speak of."""
    files = {
        "conf/ablation/mine.yaml": MINE,
        "conf/model/mine.yaml": "_target_: mynet.Net\n",
        "corpus/a.md": "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))),
        "paper.tex": "\\input{table.tex}\n",
        "mynet.py": (
            "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, shape, num_outputs):\n"
            "        super().__init__(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_outputs))\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for words in (("-m", "ablation=mine"), ("model=mlp", *QUICK)):
        done = commands.run(tmp_path, "train", *words)
        assert done.code == 0, done.out
    return tmp_path


def small(words, runs):
    """The same command on little: names become those of this folder, and trainings get small budgets."""
    named = {"RUN": runs[0], "OTHER": runs[1], "...": "model=mlp seed=0,1"}
    words = [part for word in words for part in (named[word].split() if word in named else [word])]
    words = [re.sub(r"^ablation=(NAME|norms|demo)$", "ablation=mine", word) for word in words]
    words = [str(ROOT / word) if word.startswith("results/") else word for word in words]
    words = [word.replace("submitit_slurm", "submitit_local") for word in words]
    words = [word for word in words if not word.startswith("hydra.launcher.partition")]
    words = [re.sub(r"range\(\d+\)", "range(2)", word) for word in words]
    words = [re.sub(r"^(budget\.epochs|hydra\.sweeper\.(seeds|n_trials))=\d+$", r"\1=1", word) for word in words]
    if words[0] == "train" and "ablation=mine" not in words and not any(word.startswith("debug=") for word in words):
        search = any("optuna" in word for word in words) and not any("n_trials" in word for word in words)
        budget = () if any(word.startswith("budget.") for word in words) else ("budget.epochs=1",)
        words += [*budget, "data.subset=100", *(["hydra.sweeper.n_trials=2"] if search else [])]
        if "task=language" in words:
            words = [word for word in words if not word.startswith(("budget.", "data.subset"))] + ["budget.updates=3"]
    more = {"gc": ["--yes"], "dashboard": ["--dry-run"]}  # nobody answers; no server is at hand
    return words + more.get(words[0], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.needs(*extras)) for page, extras in sorted(HERE.items())]
)
def test_commands_of_a_page(page, folder, commands):
    tried = 0
    for line in (line for block in blocks(page) for line in commands_of(block)):
        if any(words in line for words in NOT_HERE):
            continue
        runs = [record.id for record in Store(folder / "outputs").scan() if record.status == "done"]
        words = small(shlex.split(line)[1:], runs)
        if words[0] == "watch":  # until it is stopped
            started = commands.start(folder, *words, "--port", "0", WANDB_MODE="offline")
            assert started.poll(8.0) is None, started.output.read_text()
            started.send_signal(signal.SIGINT)
            assert started.wait(30.0).code in (0, 130)
            continue
        done = commands.start(folder, *words, WANDB_MODE="offline", MPLBACKEND="Agg").wait(900.0)
        assert done.code == 0, (line, words, done.out[-3000:])
        tried += 1
    assert tried


@pytest.mark.slow
def test_the_own_data_of_the_page_on_language(folder, commands):
    [block] = [block for block in blocks("docs/language.md") if "conf/data/mine.yaml" in block]
    (folder / "conf" / "data").mkdir()
    (folder / "conf" / "data" / "mine.yaml").write_text(block.split("\n", 1)[1] + "\n")
    done = commands.run(folder, "train", "task=language", "data=mine", "budget.updates=2", "batch_size=b8")
    assert done.code == 0, done.out


# Files


@pytest.mark.slow
def test_the_study_of_the_readme(tmp_path, commands):
    found = blocks("README.md")
    [file] = [block for block in found if block.startswith("# @package")]
    for big, little in ((r"0\.001, 1\.0, 7", "0.01, 0.1, 2"), ("tune: 3, report: 5, cap: 15", "tune: 1, report: 2")):
        assert re.search(big, file)
        file = re.sub(big, little, file)
    file = file.replace("ablation:", "data: {subset: 200}\nbudget: {epochs: 1}\nablation:", 1)
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(file)
    lines = [line for block in found for line in commands_of(block)]
    assert [line.split()[1] for line in lines] == ["plan", "train", "table", "report"]
    for line in lines:
        done = commands.run(tmp_path, *shlex.split(line)[1:])
        assert done.code == 0, (line, done.out)
    assert (tmp_path / "table.tex").exists()
    assert (tmp_path / "report.html").exists()


PARTS = [
    (page, number)
    for page in ("docs/ablation.md", "docs/tuning.md")
    for number, block in enumerate(blocks(page))
    if not block.startswith("paribus ")
]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), PARTS)
def test_parts_of_an_ablation_file_are_planned(page, number, tmp_path, commands):
    """The whole file as it stands, and each part in the place of the same part of it."""
    whole = yaml.safe_load(blocks("docs/ablation.md")[0])
    part = yaml.safe_load(blocks(page)[number])
    ablation = whole["ablation"]
    if isinstance(part, list):
        part = {"when": part}
    given = part.get("ablation", part)
    ablation.update(given)
    keys = str(given)
    if "hypotheses" not in given and "factors" in given:
        del ablation["hypotheses"]
    if "batch_size" in str(given.get("when")):
        ablation["factors"] = {"norm": ["batch", "none", "weight"], "batch_size": ["b64", "b1"]}
        ablation["design"] = "grid"
    if "optimizer: " in str(given.get("when")).replace("'", ""):
        ablation["factors"] = {**ablation["factors"], "optimizer": ["momentum", "adam", "sgd"]}
        ablation["design"] = "grid"
    if "space" in str(given.get("when")):
        ablation["tune"] = {"trials": 4, "space": {"optimizer.lr": {"log": [0.01, 1.0]}}}
    if "model.width" in keys:
        whole["defaults"] = [{"override /model": "mlp"}]
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    file = tmp_path / "conf" / "ablation" / f"{ablation['name']}.yaml"
    file.write_text(f"# @package _global_\n{yaml.safe_dump(whole, sort_keys=False)}")
    done = commands.run(tmp_path, "plan", f"ablation={ablation['name']}")
    assert done.code == 0, (file.read_text(), done.out)


@pytest.mark.slow
def test_options_of_torch_classes_train(tmp_path, commands):
    [loss, schedule] = blocks("docs/torch-classes.md")
    for group, text in (("loss", loss), ("scheduler", schedule)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "own.yaml").write_text(f"{text}\n")
    done = commands.run(
        tmp_path, "train", "model=mlp", "loss=own", "scheduler=own", "data.subset=100", "budget.epochs=5"
    )
    assert done.code == 0, done.out


@pytest.mark.slow
def test_the_page_on_python(tmp_path):
    [code] = blocks("docs/python.md")
    code = code.replace('"norms"', '"mine"').replace('"optimizer.lr=0.1")', '"optimizer.lr=0.1", "budget.epochs=1")')
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(MINE)
    own = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**own, "MPLBACKEND": "Agg"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

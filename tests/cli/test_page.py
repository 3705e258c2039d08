"""`paribus report`, `watch` and `figures` on runs that were really trained."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

ABLATION = """# @package _global_
# Does momentum help?
defaults:
  - override /model: linear
ablation:
  name: tiny
  design: one_factor
  factors: {optimizer: [sgd, momentum]}
  tune: {optimizer.lr: [0.01, 0.1]}
  seeds: {tune: 1, report: 2}
  smallest_effect: 0.005
  hypotheses: [{id: M, claim: Momentum helps, arm: {optimizer: momentum}, versus: {optimizer: sgd}}]
"""
FAST = ("budget.updates=4", "data.subset=100", "trainer.threads=1")


@pytest.fixture
def tiny(paribus, tmp_path):
    """Runs a command on a small ablation, trained on first use."""
    (tmp_path / "conf/ablation").mkdir(parents=True)
    (tmp_path / "conf/ablation/tiny.yaml").write_text(ABLATION)
    return lambda command, *rest: paribus(*command.split(), "ablation=tiny", *FAST, *rest)


def test_from_training_to_page_and_figures(tiny, paribus, tmp_path):
    early = tiny("report")
    assert early.code == 2
    assert "tiny has no finished run yet. Train it: paribus train -m ablation=tiny" in early.err
    assert tiny("train -m").code == 0

    result = tiny("report", "-o", "out/report.html")
    assert (result.code, result.out) == (0, "")
    text = (tmp_path / "out/report.html").read_text()
    assert "Momentum\N{NO-BREAK SPACE}helps" in text  # no last word stands alone
    assert "paribus train -m ablation=tiny budget.updates=4" in text

    result = tiny("figures", "-o", "pictures", "--only", "*_epochs", "--only", "sensitivity", "--only", "path")
    assert result.code == 0
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    names = ("learning_curves_epochs", "sensitivity")
    assert written == sorted(f"{name}.{form}" for name in names for form in ("pdf", "png", "txt"))
    assert "left out: path: the design is not a path" in result.err

    run = re.search(r'href="#run-(\w+)"', text).group(1)
    result = paribus("figures", run[:10], "-o", "one")
    assert result.code == 0
    assert (tmp_path / f"one/{run}-training.pdf").exists()
    assert f"left out: {run}-edge_of_stability: the history of this run has no sharpness" in result.err

    said = (tmp_path / "pictures" / "sensitivity.txt").read_text()
    assert "Asked: " in said or "Compared, in ablation " in said
    wide = tiny("figures", "-o", "wide", "--only", "sensitivity", "--width", "5.5", "--format", "svg")
    assert 'width="396pt"' in (tmp_path / "wide" / "sensitivity.svg").read_text()
    assert wide.code == 0
    lost = tiny("figures", "-o", "lost", "--only", "forest", "--only", "seeds", "--metric", "test/loss")
    assert lost.code == 0
    assert "test loss" in (tmp_path / "lost" / "seeds.txt").read_text()
    drawn = tiny("figures", "-o", "drawn", "--only", "*_epochs", "--metric", "val/loss")
    assert drawn.code == 0
    assert "validation loss over epochs" in (tmp_path / "drawn" / "learning_curves_epochs.txt").read_text()
    wrong = tiny("figures", "--only", "*_epochs", "--metric", "test/loss")
    assert wrong.code == 2
    assert "a curve is a column of the histories, got test/loss. There are " in wrong.err
    wrong = tiny("figures", "--width", "wide")
    assert (wrong.code, "a figure's width is column" in wrong.err) == (2, True)

    wrong = tiny("figures", "--only", "forst")
    assert wrong.code == 2
    assert "--only names figures, got forst. There are learning_curves_epochs, " in wrong.err


def test_watch_serves_an_ablation_that_has_not_begun_and_ends_with_control_c(tiny, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "paribus", "watch", "ablation=tiny", *FAST, "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            url = re.match(r"http://127\.0\.0\.1:\d+/", line).group(0)
            with urllib.request.urlopen(url, timeout=30) as answer:
                text = answer.read().decode()
            assert "No run of tiny is done yet" in text
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
        assert "Traceback" not in process.stderr.read()

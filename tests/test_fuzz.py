"""A short form of `make fuzz`: malformed lines of all kinds end with exit code 2 and one message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "scripts" / "fuzz.py"


def fuzz(*arguments):
    command = [sys.executable, str(FUZZ), "--jobs", str(os.cpu_count() or 2), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def test_malformed_lines_are_refused_with_a_message():
    found = fuzz("--lines", "16", "--seed", "0")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "16 lines, seed 0" in found.stdout
    assert "no failure" in found.stdout


@pytest.mark.slow
def test_the_fuzzer_tells_a_line_that_trains_from_one_that_does_not():
    quick = "model=mlp model.width=8 data.subset=60 data.batch_size=20 budget.updates=1"
    found = fuzz("--only", f"train {quick} seed=3", "--only", f"train {quick} optimizer.lr=nan")
    [trains, refused] = found.stdout.split("paribus train ")[1:]
    assert "exit code 0" in trains
    assert " done: test/acc" in trains
    assert "exit code 2" in refused
    assert "optimizer.lr" in refused

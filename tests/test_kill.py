"""scripts/kill_test.py: an ablation that is killed loses nothing, trains nothing twice, and ends with the same bits."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill_test.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "seeds", "updates", "cases"),
    [(2, 1, 500, ("tuning",)), (56, 3, 800, ())],
)
def test_ablations_that_are_killed(kills, seeds, updates, cases, tmp_path):
    arguments = [f"--kills={kills}", f"--seeds={seeds}", f"--updates={updates}", f"--folder={tmp_path}"]
    arguments += [f"--case={case}" for case in cases]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (f"kills: {kills} ", "cells lost: 0", "trained twice to the end: 0", "differ in any bit: 0"):
        assert line in done.stdout

"""Modules that wait until they are needed are there when they are."""

import subprocess
import sys

import pytest

BEFORE = """
import sys
from paribus.imports import postpone_signal_processing
postpone_signal_processing()
import pytorch_lightning
assert "scipy.stats" not in sys.modules, "torchmetrics imports it after all"
"""


@pytest.mark.parametrize(
    "code",
    [
        "import scipy.signal\nassert scipy.signal.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
        "from scipy.signal import convolve\nassert convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
        "import scipy.signal.windows\nassert scipy.signal.windows.hamming(3)[1] == 1.0",
        "import scipy\nassert scipy.signal.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
    ],
)
def test_signal_processing(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", BEFORE + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

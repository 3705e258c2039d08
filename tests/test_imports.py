"""Modules that wait until they are needed are there when they are."""

import subprocess
import sys

import pytest

BEFORE = """
import sys
from paribus.imports import postpone
postpone()
import pytorch_lightning
assert not {"scipy.stats", "matplotlib.figure"} & set(sys.modules), "torchmetrics imports it after all"
"""


@pytest.mark.parametrize(
    "code",
    [
        "import scipy.signal\nassert scipy.signal.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
        "from scipy.signal import convolve\nassert convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
        "import scipy.signal.windows\nassert scipy.signal.windows.hamming(3)[1] == 1.0",
        "import scipy\nassert scipy.signal.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]",
        "exec('import matplotlib; assert matplotlib.colors.to_rgba', {})",
        "import matplotlib\nassert matplotlib.colors.to_hex('red') == '#ff0000'",
        "import matplotlib.pyplot as plt\nassert isinstance(plt.figure(), plt.Figure) and plt.Figure is not object",
        "from matplotlib.figure import Figure\nfrom matplotlib.axes import Axes\n"
        "assert isinstance(Figure().subplots(), Axes) and Axes is not object",
        "import torch, torchmetrics\nfrom matplotlib.figure import Figure\nmetric = torchmetrics.MeanMetric()\n"
        "metric.update(torch.ones(2))\nassert isinstance(metric.plot()[0], Figure)",
    ],
)
def test_what_was_postponed_is_the_module_itself(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", BEFORE + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

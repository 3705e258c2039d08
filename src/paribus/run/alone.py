"""The trial of a network on the real device, in a process of its own.

Code of others may read values while it builds a network (`torch.linspace(0, 0.1, 3).tolist()` for stochastic depth) or
decide by values in its forward pass. On the meta device there are none. What such code does to its process (memory, a
crash in a library) must not reach the one that plans.
"""

from __future__ import annotations

import functools
import signal
import traceback
from collections.abc import Sequence
from pathlib import Path

from paribus.base.errors import UserError
from paribus.base.forked import apart
from paribus.config.run import Run
from paribus.run.targets import is_installed

_OURS = Path(__file__).parents[1]
LIMIT = 600.0  # seconds
MOST = 8  # samples of a batch: what a network needs is then little more than its weights


def fault(run: Run, shares: Sequence[tuple[int, ...]]) -> str | None:
    """Why the network, loss and optimizer of a run can't work; None where they can.

    shares: of the batches to come, how many samples each process gets.
    """
    from paribus.run.build import names

    ended = apart(functools.partial(_tried, run, shares), LIMIT)
    if ended.result:
        return ended.result[0]
    if ended.code is None:
        return f"{names(run)} was not built and tried within {LIMIT:g} s. Look at its constructor and its forward pass"
    return f"{names(run)} ended its process {_how(ended.code)} while it was built and tried.{ended.last_words}"


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    more = ", as where memory is short" if -code == signal.SIGKILL else ""
    return f"by signal {-code} ({signal.Signals(-code).name}{more})"


def _tried(run: Run, shares: Sequence[tuple[int, ...]]) -> str | None:
    import torch

    from paribus.run import build
    from paribus.run.passes import try_on

    torch.set_num_threads(1)
    try:
        try_on(run, build.build_setting(run), shares, _device(run), MOST)
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever another's code raises
        return f"{build.names(run)} can't be trained: {type(error).__name__}: {error}{place(error)}"
    return None


def place(error: BaseException) -> str:
    """The last line of the user's own code on the way to an error, in brackets; nothing where none is on it."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for file, line in frames if not is_installed(file) and _OURS not in file.parents]
    return f" ({own[-1][0].name}:{own[-1][1]})" if own else ""


def _device(run: Run) -> str:
    import torch

    accelerator = run.trainer.accelerator
    if accelerator in ("gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"

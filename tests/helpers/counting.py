"""Callbacks for tests: one notes every start of a training and which sweep did it, one waits there for another sweep,
one ends its process.

Found through PYTHONPATH, which names this folder; SWEEP names the sweep.
"""

import os
import signal
import time
from pathlib import Path

import pytorch_lightning as pl


class Count(pl.Callback):
    """name: of the file, without its ending: a value that names a file would be an input of the runs, and this one
    changes."""

    def __init__(self, name: str):
        self.file = f"{name}.txt"

    def on_train_start(self, trainer, pl_module):
        line = f"{Path(trainer.default_root_dir).name} {os.environ.get('SWEEP', 'the')}\n"
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


class Meet(Count):
    """Holds a run that has started until each of so many sweeps trains one: on a busy machine one sweep could be done
    before the other begins.
    """

    def __init__(self, name: str, sweeps: int, seconds: float = 120.0):
        super().__init__(name)
        self.sweeps = sweeps
        self.seconds = seconds

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        deadline = time.monotonic() + self.seconds
        while len({line.split()[1] for line in Path(self.file).read_text().splitlines()}) < self.sweeps:
            assert time.monotonic() < deadline, f"fewer than {self.sweeps} sweeps train after {self.seconds:g} s"
            time.sleep(0.05)


class Kill(pl.Callback):
    """Ends the process in the middle of a run, as the kernel does when memory runs out."""

    def on_train_start(self, trainer, pl_module):
        os.kill(os.getpid(), signal.SIGKILL)

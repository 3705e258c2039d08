"""The Hydra entry: `python scripts/train.py norm=group optimizer=adamw`, `... -m norm=batch,layer seed='range(5)'`."""

from paribus.cli.main import look_here
from paribus.sweep.failure import run_and_exit
from paribus.sweep.train import main

if __name__ == "__main__":
    look_here()
    run_and_exit(main)

"""The Hydra entry: `python scripts/train.py norm=group optimizer=adamw`, `... -m norm=batch,layer seed='range(5)'`."""

from paribus.cli.train import main
from paribus.sweep.failure import run_and_exit

if __name__ == "__main__":
    run_and_exit(main)

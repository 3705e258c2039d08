"""The Hydra entry: `python scripts/train.py norm=group optimizer=adamw`, `... -m norm=batch,layer seed='range(5)'`."""

import sys

from paribus.cli.failure import guarded
from paribus.cli.train import main

if __name__ == "__main__":
    sys.exit(guarded(main))

"""The Python surface: what a notebook asks for, in a line each. The commands call the same functions.

Words are those of the command line: `train("model=mlp", "optimizer.lr=0.1")`. Keywords are values:
`train(model="mlp", **{"optimizer.lr": 0.1})`. A mistake is a `UserError` with the message that the command prints.
"""

from paribus.api.curvature import Curvature, curvature
from paribus.api.descents import Descents, surface
from paribus.api.figures import Figures, figure
from paribus.api.runs import LoadedRun, TrainedRun, load
from paribus.api.tables import Planned, Tables, check, plan, records, table
from paribus.api.training import train
from paribus.base.errors import UserError

__all__ = [
    "Curvature",
    "Descents",
    "Figures",
    "LoadedRun",
    "Planned",
    "Tables",
    "TrainedRun",
    "UserError",
    "check",
    "curvature",
    "figure",
    "load",
    "plan",
    "records",
    "surface",
    "table",
    "train",
]

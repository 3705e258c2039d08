"""The offers of W&B to the core: names that it would refuse are refused before a run begins, and runs that it has not
got are said when training ends."""

from paribus.extras.wandb.afterword import afterword
from paribus.extras.wandb.limits import check_run

__all__ = ["afterword", "check_run"]

"""The offer of W&B to the core: names that it would refuse are refused before a run begins."""

from paribus.extras.wandb.limits import check_run

__all__ = ["check_run"]

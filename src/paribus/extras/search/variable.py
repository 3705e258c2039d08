"""The variable of the environment by which the process of a trial finds the standings of its search."""

PRUNING = "PARIBUS_PRUNING"

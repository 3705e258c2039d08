"""Settings of launchers and searches are checked before anything is sent or searched."""

import math

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load
from paribus.config.schema import keys
from paribus.sweep.options import check_hydra
from paribus.sweep.settings import _SCHEMAS, check_settings, plain

SHIPPED = {
    "submitit_slurm": "hydra/launcher=submitit_slurm",
    "submitit_local": "hydra/launcher=submitit_local",
    "ray": "hydra/launcher=ray",
    "optuna": "hparams_search=optuna",
}


def node_of(option):
    hydra = load([option, "hydra.sweep.dir=x"]).hydra
    part = "sweeper" if option.startswith("hparams_search") else "launcher"
    return f"hydra.{part}", plain(hydra[part])


OF_CLUSTER = [
    pytest.param(option, id=name, marks=pytest.mark.needs("search" if name == "optuna" else "cluster"))
    for name, option in SHIPPED.items()
]


@pytest.mark.parametrize("option", OF_CLUSTER)
def test_each_setting_refuses_what_it_cannot_hold(option):
    where, node = node_of(option)
    check_settings(where, node)
    for name in keys(_SCHEMAS[node["_target_"]]):
        assert name in node
        for wrong in (math.nan, math.inf, -1, 10**400, True, "", "\x00", [[]]):
            with pytest.raises(UserError, match=rf"^{where}\.{name} must be"):
                check_settings(where, {**node, name: wrong})


@pytest.mark.needs("cluster")
def test_a_plan_sees_them():
    with pytest.raises(UserError, match=r"hydra\.launcher\.timeout_min must be a whole number.*'soon'"):
        check_hydra(load(["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=soon"]).hydra)

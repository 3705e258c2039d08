"""Preflight looks at the sizes of all processes and of all parts of a batch."""

import pytest

from paribus.base.errors import UserError
from paribus.run.preflight import Preflight

ACCUMULATE = "trainer.accumulate=2"
BASE = ["model=mlp", "model.width=8", "budget.epochs=1", "data.drop_last=false"]


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        # 1,437 samples without 238: in batches of 92 the last one has 3, so 2 and 1 for the two processes.
        (["trainer=ddp_sim", "data.validation=238", "data.batch_size=92", "norm=none"], None),
        (["trainer=ddp_sim", "data.validation=238", "data.batch_size=92", "norm=batch"], "batch of 1"),
        (["trainer=ddp_sim", "data.validation=238", "data.batch_size=92", "norm=sync_batch"], None),
        (
            ["trainer=ddp_sim", "data.validation=238", "data.batch_size=92", "norm=none", "trainer.accumulate=2"],
            "has 1",
        ),
        # 7 in 3 parts are 3, 2, 2; 4 are 2, 1, 1.
        (["data.batch_size=7", "data.drop_last=true", "norm=batch", "trainer.accumulate=3"], None),
        (["data.batch_size=4", "data.drop_last=true", "norm=batch", "trainer.accumulate=3"], "batch of 1"),
    ],
)
def test_what_one_process_or_part_would_meet_is_met_before(run_of, overrides, refused):
    run = run_of(*BASE, *overrides)
    if refused is None:
        Preflight().check(run)
    else:
        with pytest.raises(UserError, match=refused):
            Preflight().check(run)


def test_every_process_needs_a_sample_to_evaluate(run_of):
    with pytest.raises(UserError, match="2 processes have 1 samples in the validation set"):
        Preflight().check(run_of(*BASE, "norm=none", "trainer=ddp_sim", "data.validation=1"))

"""The promises of scripts/simulate_statistics.py, in a fast form."""

from __future__ import annotations

import pytest
import scripts


@pytest.fixture(scope="module")
def script():
    return scripts.load("simulate_statistics")


@pytest.mark.parametrize(
    ("name", "replicates"),
    [("coverage", 10_000), ("type_one", 10_000), ("family_wise", 10_000), ("tuning_bias", 10_000), ("confusion", 4_000),
     ("verdicts", 1_000), ("power", 10_000), ("sequential", 1_000), ("heterogeneity", 2_000), ("collapsing", 4_000),
     ("discoveries", 2_000), ("corrections", 1_000), ("tuned_grids", 2_000), ("target_tests", 2_000),
     ("restricted_means", 4_000), ("rankings", 4_000), pytest.param("grids", 300, marks=pytest.mark.slow),
     pytest.param("practical", 300, marks=pytest.mark.slow)],
)  # fmt: skip
def test_promises_hold(script, name, replicates):
    assert getattr(script, name) in script.SIMULATIONS
    result = getattr(script, name)(replicates, 0)
    assert result.broken == []
    assert result.rows


@pytest.mark.slow
def test_what_is_not_promised_goes_wrong(script):
    """The errors that the statistics are there to avoid show in the same simulations."""
    bootstrap = [row[-1] for row in script.coverage(1_000, 1).rows]
    assert bootstrap[0] < 0.85
    unadjusted = [row[1] for row in script.family_wise(4_000, 1).rows]
    assert min(unadjusted) > 0.2
    same_seeds = [row[2] for row in script.tuning_bias(4_000, 1).rows]
    assert max(same_seeds) > 0.15
    peeking = [row[2] for row in script.sequential(300, 1).rows if row[1] == "all 0"]
    assert min(peeking) > 0.35
    assert max(row[3] for row in script.verdicts(200, 1).rows) > 0.2  # each verdict at 5 %
    assert max(row[3] for row in script.heterogeneity(300, 1).rows) > 0.8  # verdicts that differ
    assert max(row[2] for row in script.collapsing(1_000, 1).rows) > 0.2  # no more collapse than was seen
    assert max(row[3] for row in script.tuned_grids(2_000, 1).rows) > 0.25  # the winners of tuning alone

"""The checks of section 1.4 and 1.5 are exact; those of 1.1 to 1.3 are held against computations of their own here."""

import math

import numpy as np
import pytest
import torch

from paribus.base.errors import UserError
from paribus.evidence.measurement import Measurement, at_least, at_most, exact, overall
from paribus.notes.checks import batches, norms, rates, targets
from paribus.notes.checks.catalogue import CHECKS
from paribus.notes.checks.critical import saddle_escape
from paribus.notes.scoreboard import wanted
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.techniques.optimizers.notes import AdagradRMS
from paribus.techniques.schedules import Constant

QUICK = [check for check in CHECKS if check.module in ("targets", "norms") or check.id == "1.1b"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_every_check_has_a_function_with_a_docstring_and_an_id_of_its_own():
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.load().__doc__, check.id
        assert check.literature, check.id


@pytest.mark.parametrize("check", QUICK, ids=[check.id for check in QUICK])
def test_what_is_exact_comes_out_exact(check, store):
    for each in check.load()(store):
        if math.isfinite(each.expected) and each.outcome == "REFUTED":
            assert (check.id, each.regime) == ("1.5c-sn", "convolution 3 x 3")  # the bound does not hold there


def test_the_escape_law_is_that_of_a_recursion_by_hand(store):
    w, steps = 1e-4, 0
    while w * math.sqrt(2) < 0.03:
        w, steps = w + 0.05 * 2 * (1 - w * w) * w, steps + 1
    assert saddle_escape(store)[0].measured == steps


def test_a_class_number_is_up_to_nine_times_as_far_as_another(store):
    one, _, line = targets.distances(store)
    assert one.measured == pytest.approx(math.sqrt(2))
    assert line.measured == pytest.approx(9.0)
    assert line.expected == 9.0


def test_spectral_norm_of_a_convolution_is_not_its_slope(store):
    linear, convolution = norms.lipschitz(store)
    assert linear.outcome == "SUPPORTED"
    assert 1.001 < convolution.measured <= 3.0
    assert overall([linear, convolution]) == "CONDITIONAL"


def test_the_largest_batch_is_read_off_the_records(store, monkeypatch):
    from paribus.ablation.cells import Cell, Plan

    times = {"b1": 1.0, "b2": 1.1, "b4": 1.4, "b8": 1.6, "b16": 1.2}
    for arm, ms in times.items():
        record = Record(arm, "done", timing={"ms_per_update": ms})
        record.provenance = {"hardware": {"cpu": "c", "device": "cpu"}}
        store.write(record)
    plan = Plan("batch_time", arms={arm: [Cell(arm, 0, "report", (), arm)] for arm in times})
    monkeypatch.setattr(batches, "plan_command", lambda overrides, read: [plan])
    [found] = batches.largest_batch(store)
    assert found.measured == 4.0  # what comes after the first that is too slow does not count
    assert found.outcome == "REFUTED"
    empty = Store(store.root / "elsewhere")
    with pytest.raises(UserError, match="paribus train -m ablation=notes/batch_time"):
        batches.largest_batch(empty)


def test_a_start_in_the_lowest_valley_stays_and_one_far_away_does_not_come():
    starts = torch.tensor([[0.3, 7.0]], dtype=torch.float64)
    assert batches._escaped(starts, 0.03, 0.0) == [1.0, 0.0]


def test_two_ways_to_descend_are_compared_by_a_verdict(store, monkeypatch):
    """Gains of 1, 0, about 0 and a few points, of starts that are alike: the words are those of ablations."""
    shares = iter([[1.0] * 99 + [0.0], [0.0] * 100, [1.0, 0.0] * 50, [1.0, 0.0] * 50,
                   [1.0] * 100, [1.0] * 96 + [0.0] * 4, [0.0] * 100, [1.0] * 99 + [0.0]])  # fmt: skip
    monkeypatch.setattr(batches, "_escaped", lambda *_: next(shares))
    found = batches.escapes(store)
    assert [each.outcome for each in found] == ["SUPPORTED", "NEGLIGIBLE", "INCONCLUSIVE", "REVERSED"]
    assert overall(found) == "CONDITIONAL"


def test_the_notes_rule_grows_again_after_its_threshold_and_the_sum_does_not():
    noisy, c = rates._noisy(lambda params: AdagradRMS(params, lr=0.3, eps=0.0), Constant(), 250)
    threshold = (2 * c / 0.3) ** 2
    burst = rates._burst(noisy)
    assert burst is not None
    assert threshold < burst < 2.2 * threshold
    calm, _ = rates._noisy(lambda params: torch.optim.Adagrad(params, lr=0.3, eps=0.0), Constant(), 250)
    assert rates._burst(calm) is None


def test_a_burst_comes_after_a_calm():
    assert rates._burst(np.array([1.0, 0.5, 0.1])) is None
    assert rates._burst(np.array([1.0, 1e-7, 1e-8, 1e-2])) == 3


def test_outcomes_that_differ_make_a_claim_conditional():
    yes, no = exact("q", 1.0, 1.0, 0.1, "w"), exact("q", 2.0, 1.0, 0.1, "w")
    assert [yes.outcome, no.outcome] == ["SUPPORTED", "REFUTED"]
    assert (overall([yes, yes]), overall([no]), overall([yes, no])) == ("SUPPORTED", "REFUTED", "CONDITIONAL")


def test_a_bound_is_written_as_a_bound():
    """A measured 0.00035 beside an expected 0.1 that is SUPPORTED would read like a mistake."""
    low, high = at_most("q", 0.00035, 0.1, "w"), at_least("q", 460.3, 10, "w")
    number, none = exact("q", 1.0, 1.0, 0.05, "w"), Measurement("", "q", 1.0, "REFUTED", "")
    assert [wanted(each) for each in (low, high, number, none)] == ["≤ 0.1", "≥ 10", "1 ± 0.05", ""]
    assert [low.outcome, high.outcome] == ["SUPPORTED", "SUPPORTED"]
    assert [at_most("q", 0.2, 0.1, "w").outcome, at_least("q", 9, 10, "w").outcome] == ["REFUTED", "REFUTED"]
    assert Measurement.from_dict(low.as_dict()) == low


@pytest.mark.parametrize("check", QUICK, ids=[check.id for check in QUICK])
def test_a_number_that_is_far_from_the_measured_one_is_a_bound(check, store):
    for each in check.load()(store):
        if each.outcome == "SUPPORTED" and math.isfinite(each.expected) and not each.bound:
            near = 0.25 * max(abs(each.expected), 0.02)
            assert abs(each.measured - each.expected) <= near, (each.regime, each.quantity)


def test_a_measurement_survives_json():
    each = Measurement("r", "q", 0.5, "SUPPORTED", "words", low=0.1, high=0.9, n=3)
    content = each.as_dict()
    assert content["expected"] is None
    back = Measurement.from_dict(content)
    assert (back.low, back.n, math.isnan(back.expected)) == (0.1, 3, True)

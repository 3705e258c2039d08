"""What a module logs, and the best values that are kept beside it."""

from paribus.base.metrics import Metric, Metrics
from paribus.extras.lightning.ledger import Ledger

KNOWN = Metrics([Metric("acc", better="higher")])


def test_a_best_value_that_the_module_logs_itself_has_no_other():
    ledger = Ledger(None, KNOWN, "val/acc")
    logged = ((0.5, 0.5), (0.4, 0.5), (0.6, 0.6))
    new = [ledger.validated({"val/acc": acc, "val/acc_best": best}) for acc, best in logged]
    assert new == [True, False, True]
    assert ledger.metrics == {"val/acc": 0.6, "val/acc_best": 0.6}


def test_it_may_be_monitored():
    ledger = Ledger(None, KNOWN, "val/acc_best")
    assert [ledger.validated({"val/acc_best": best}) for best in (0.5, 0.5, 0.6)] == [True, False, True]
    assert (ledger.metrics, ledger.best_score) == ({"val/acc_best": 0.6}, 0.6)

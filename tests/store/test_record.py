"""Records: strict JSON, an exact round trip, and nothing damaged that passes for a record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from paribus.store.record import Record, RecordError


def full_record() -> Record:
    return Record(
        id="0123456789abcdef",
        status="diverged",
        ablation="norm",
        arm='none | "§" \\ \n',
        seed=0,
        choices={"norm": "batch", "optimizer.lr": 0.1, "clip.norm": None},
        comparable={"semantics": 1, "budget": "20 epochs"},
        metrics={"test/acc": 0.1, "test/loss": math.nan, "val/loss": math.inf, "x": -math.inf},
        timing={"steps": 380, "fit_seconds": 0.1 + 0.2},
        parameters=0,
        failure={"type": "bug", "message": "NaN"},
        created="2026-01-01T00:00:00+00:00",
    )


def test_round_trip_is_exact():
    record = full_record()
    again = Record.from_json(record.to_json())
    assert math.isnan(again.metrics.pop("test/loss"))
    assert math.isnan(record.metrics.pop("test/loss"))
    assert again == record
    assert isinstance(again.timing["steps"], int)


def test_json_is_strict():
    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(full_record().to_json(), parse_constant=refuse)["metrics"]["val/loss"] == "inf"


def test_numbers_of_numpy_are_plain_numbers():
    record = Record(id="a", status="done", metrics={"a": np.float32(0.5), "b": np.float32("nan")})
    again = Record.from_json(record.to_json())
    assert again.metrics["a"] == 0.5
    assert math.isnan(again.metrics["b"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"status": "finished"}, "status"),
        ({"id": None}, "id"),
        ({"seed": "0"}, "seed"),
        ({"seed": True}, "seed"),
        ({"metrics": [1]}, "metrics"),
        ({"metrics": {"test/acc": "0.9"}}, "test/acc"),
        ({"metrics": {"test/acc": None}}, "test/acc"),
        ({"timing": {"steps": True}}, "steps"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(change, reason):
    content = {**json.loads(full_record().to_json()), **change}
    with pytest.raises(RecordError, match=reason):
        Record.from_json(json.dumps(content))


def test_a_form_that_is_known_does_not_hide_a_mistake():
    content = json.loads(full_record().to_json())
    assert Record.from_json(json.dumps(content)).seed == 0  # the form is known now
    for change in (
        {"seed": "0"},
        {"parameters": True},
        {"schema": 2},
        {"metrics": {"a": 0.5, "b": 2**63}},
        {"id": "é"},
    ):
        with pytest.raises(RecordError):
            Record.from_json(json.dumps({**content, **change}))
    assert Record.from_json(json.dumps({**content, "seed": None})).seed is None
    assert Record.from_json(json.dumps({**content, "timing": {"a": 1, "b": "nan", "c": 0.5}})).timing["a"] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe", '{"schema": 1}'])
def test_damaged_text_is_refused(text):
    with pytest.raises(RecordError):
        Record.from_json(text)

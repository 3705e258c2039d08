"""Retired records are told by their id, or by their choices and the time before the repair."""

import gzip
import json

import pytest

from paribus.base.errors import UserError
from paribus.store.record import Record
from paribus.store.retired import read_retired, why_retired


def write(path, text):
    path.write_text(text)
    return read_retired(path)


def test_by_id_and_by_choices_before_the_repair(tmp_path):
    entries = write(
        tmp_path / "retired.yaml",
        "- {fault: a slip, date: 2026-03-02, ids: [aa]}\n"
        "- {fault: no root, date: 2026-03-02, choices: {optimizer: shampoo}}\n",
    )
    shampoo = {"optimizer": "shampoo", "model": "cnn"}
    assert why_retired(Record("aa", "done"), entries) == "a slip (2026-03-02)"
    assert why_retired(Record("bb", "done", choices=shampoo, finished="2026-03-01T23:59:59+00:00"), entries)
    assert why_retired(Record("bb", "done", choices=shampoo, finished="2026-03-02T00:00:00+00:00"), entries) is None
    assert why_retired(Record("bb", "done", choices={"optimizer": "adam"}), entries) is None


def test_no_list_retires_nothing(tmp_path):
    assert read_retired(tmp_path / "retired.yaml") == []


@pytest.mark.parametrize(
    "text",
    ["- {fault: f, date: 2026-01-01}", "- {ids: [a]}", "x: 1", "- {", "- {fault: f, date: d, ids: [a], more: 1}"],
)
def test_other_forms_are_named(tmp_path, text):
    with pytest.raises(UserError, match=r"retired.yaml must be a list"):
        write(tmp_path / "retired.yaml", text)


def test_import_leaves_retired_records_out_and_says_so(paribus, tmp_path):
    lines = [{"id": id * 16, "status": "done", "provenance": 0, "schema": 1} for id in "ab"]
    content = {"schema": 1, "plans": {}, "provenance": [{}], "records": lines, "checks": []}
    (tmp_path / "records.json.xz").write_bytes(gzip.compress(json.dumps(content).encode()))
    (tmp_path / "retired.yaml").write_text(f"- {{fault: a slip, date: 2026-03-02, ids: [{'a' * 16}]}}")
    found = paribus("import", "records.json.xz")
    assert found.code == 0
    assert "1 retired runs are left out: a slip (2026-03-02)" in found.err
    assert [path.parent.name for path in (tmp_path / "outputs" / "runs").glob("*/record.json")] == ["b" * 16]

"""`paribus claims`: what it shows, what it leaves out, and that --run trains and checks only what is missing."""

import csv
import io
import json
from pathlib import Path

import pytest

from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import CHECKS
from paribus.store.store import Store

ROOT = Path(__file__).parents[2]
QUICK = {"model": {"width": 8}, "data": {"subset": 60, "batch_size": 20}, "budget": {"epochs": 1}}


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    section = {
        "name": "mine", "factors": {"optimizer.momentum": [0.0, 0.9]}, "seeds": 2,
        "hypotheses": [{"id": "9.1", "claim": "momentum helps", "arm": {"optimizer.momentum": 0.9},
                        "versus": {"optimizer.momentum": 0.0}, "literature": "Polyak 1964"}],
    }  # fmt: skip
    content = {"defaults": [{"override /model": "mlp"}, {"override /norm": "none"}], **QUICK, "ablation": section}
    (folder / "mine.yaml").write_text("# @package _global_\n" + json.dumps(content))


def rows(result):
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def test_a_claim_without_runs_says_so_and_only_filters(paribus, mine):
    [row] = rows(paribus("claims", "mine", "--only", "9", "--format", "csv"))
    assert (row["id"], row["verdict"], row["literature"]) == ("9.1", "not run", "Polyak 1964")
    nothing = paribus("claims", "mine", "--only", "7")
    assert nothing.code == 2
    assert "--only" in nothing.err


def test_a_users_project_shows_the_users_claims_alone(paribus, mine):
    [row] = rows(paribus("claims", "--format", "csv"))
    assert (row["id"], row["source"], row["section"]) == ("9.1", "mine", "")
    table = paribus("claims").out
    assert "Claims" in table
    assert "lecture" not in table
    assert "1.3" not in table
    assert "check" not in table


def test_a_users_own_file_has_the_name_of_one_of_the_notes(paribus, mine, tmp_path):
    folder = tmp_path / "conf" / "ablation"
    (folder / "norms.yaml").write_text((folder / "mine.yaml").read_text().replace('"9.1"', '"1.5a"'))
    (folder / "mine.yaml").unlink()
    [own] = rows(paribus("claims", "--format", "csv"))
    [named] = rows(paribus("claims", "norms", "--format", "csv"))
    assert own == named
    assert (own["id"], own["claim"], own["section"]) == ("1.5a", "momentum helps", "")
    theirs = rows(paribus("claims", "notes", "--only", "1.5a", "--format", "csv"))
    assert {row["section"] for row in theirs} == {"1.5 Normalization"}
    assert {"norms", "rates", "check"} <= {row["source"] for row in theirs}
    assert "momentum helps" not in {row["claim"] for row in theirs}
    both = rows(paribus("claims", "norms", "notes/norms", "--format", "csv"))
    assert [row["claim"] for row in both if not row["section"]] == ["momentum helps"]
    assert "batch norm tests better than none at batches of 64" in {row["claim"] for row in both if row["section"]}


def test_the_same_id_in_two_files_is_two_claims(paribus, mine, tmp_path):
    folder = tmp_path / "conf" / "ablation"
    other = (folder / "mine.yaml").read_text().replace('"mine"', '"other"').replace("momentum helps", "inertia helps")
    (folder / "other.yaml").write_text(other)
    table = paribus("claims").out
    assert "momentum helps" in table
    assert "inertia helps" in table


def test_a_project_without_claims_says_where_those_of_the_notes_are(paribus):
    result = paribus("claims")
    assert result.code == 2
    assert result.err.strip().endswith("ablation.hypotheses. The claims of the lecture notes: paribus claims notes")
    result = paribus("claims", "--only", "1.3")
    assert result.code == 2
    assert result.err.strip().endswith("paribus claims notes --only 1.3")


def test_a_word_that_is_no_ablation_gets_the_nearest(paribus, mine):
    result = paribus("claims", "ntoes")
    assert result.code == 2
    assert "Did you mean notes" in result.err
    assert "mine" in result.err


def test_checks_stand_with_the_notes(paribus):
    found = rows(paribus("claims", "notes", "--only", "1.4b", "--format", "csv"))
    assert [row["source"] for row in found] == ["check"]


def test_run_and_results_exclude_each_other(paribus):
    result = paribus("claims", "--run", "--results", "x")
    assert result.code == 2
    assert "Drop one of them" in result.err


def test_run_makes_a_missing_check_once(paribus, tmp_path, monkeypatch):
    check = next(each for each in CHECKS if each.id == "1.4b")
    first = rows(paribus("claims", "notes", "--only", "1.4b", "--run", "--format", "csv"))
    assert first[0]["verdict"] == "SUPPORTED"
    assert stored.current(Store(tmp_path / "outputs"), check)
    monkeypatch.setattr(stored, "make", lambda *args: pytest.fail("it is there already"))
    assert rows(paribus("claims", "notes", "--only", "1.4b", "--run", "--format", "csv")) == first


def test_run_trains_what_is_missing_and_then_nothing(paribus, mine, tmp_path):
    [row] = rows(paribus("claims", "mine", "--only", "9", "--run", "--format", "csv"))
    assert row["n"] == "2"
    ids = Store(tmp_path / "outputs").ids()
    assert len(ids) == 4
    again = paribus("claims", "mine", "--only", "9", "--run", "--format", "csv")
    assert rows(again) == [row]
    assert "to train" not in again.err


@pytest.mark.slow
def test_packed_results_are_imported_and_not_trained_again(paribus, tmp_path):
    source = str(ROOT / "results" / "records.json.xz")
    result = paribus("import", source)
    assert result.code == 0, result.err
    [plan] = json.loads(paribus("plan", "ablation=aa", "--json").out)["plans"]
    assert plan["complete"]
    assert {run["status"] for runs in plan["arms"].values() for run in runs} == {"done"}
    [row] = [row for row in rows(paribus("claims", "aa", "--format", "csv")) if row["id"] == "A/A"]
    [shipped] = [r for r in rows(paribus("claims", "aa", "--results", source, "--format", "csv")) if r["id"] == "A/A"]
    assert row == shipped
    again = paribus("import", source)
    assert "imported 0 of" in again.err


def test_a_file_that_is_no_packed_results_is_named(paribus, tmp_path):
    (tmp_path / "other.json.xz").write_bytes(b"nothing")
    result = paribus("import", "other.json.xz")
    assert result.code == 2
    assert "other.json.xz" in result.err

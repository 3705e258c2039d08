"""Results of checks on disk."""

from dataclasses import replace

import pytest

from paribus.evidence import checks
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import CHECKS
from paribus.store.store import Store

CHECK = next(check for check in CHECKS if check.id == "1.4a-e")


def test_a_check_is_made_once_and_read_back(tmp_path):
    store = Store(tmp_path)
    assert checks.read(store, CHECK.id) is None
    assert not stored.current(store, CHECK)
    made = stored.make(store, CHECK)
    assert checks.read(store, CHECK.id).as_dict() == made.as_dict()
    assert stored.current(store, CHECK)
    assert made.outcome == "SUPPORTED"
    assert made.provenance["versions"]["torch"]


def test_a_result_of_other_code_is_out_of_date(tmp_path):
    store = Store(tmp_path)
    stored.make(store, CHECK)
    assert not stored.current(store, replace(CHECK, module="norms"))


def test_an_import_is_no_change_of_what_a_check_measures(tmp_path, monkeypatch):
    from paribus.notes.checks import catalogue

    def fingerprint(text):
        (tmp_path / "one.py").write_text(text)
        return replace(CHECK, module="one").fingerprint

    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "catalogue.py"))
    first = fingerprint("import a\nfrom b import (\n    c,\n)\nx = c\n")
    assert fingerprint("import a.z\nfrom d.b import c\nx = c\n") == first
    assert fingerprint("import a\nfrom b import c\nx = c + 1\n") != first


def test_a_damaged_file_counts_as_none_and_is_named(tmp_path):
    store = Store(tmp_path)
    stored.make(store, CHECK)
    checks.path_of(store, CHECK.id).write_text("{")
    with pytest.warns(UserWarning, match="counts as not made"):
        assert checks.read(store, CHECK.id) is None


def test_checks_are_chosen_by_the_beginning_of_their_id():
    assert {check.id[:3] for check in stored.chosen(["1.3", "1.1"])} == {"1.1", "1.3"}
    assert len(stored.chosen(())) == len(CHECKS)

"""The record says what the user's own code was made of."""

import importlib.metadata
import sys
import time

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.bookkeeping import used_versions
from paribus.store.record import Record


def test_versions_of_what_the_users_own_modules_import(tmp_path, monkeypatch):
    source = (
        "import json\nimport yaml\nimport scipy.special as special\nfrom sklearn.datasets import load_digits\nx = 3\n"
    )
    (tmp_path / "versions_net.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = Run.parse(resolved(load(["model=mlp"])))
    own = Record("0", "running", provenance={"inputs": {"code versions_net": "0", "code not_imported": "0"}})
    assert used_versions(run, own) == {}  # nothing was imported yet
    try:
        __import__("versions_net")
        found = used_versions(run, own)
    finally:
        sys.modules.pop("versions_net", None)
    assert found == {name: importlib.metadata.version(name) for name in ("PyYAML", "scipy", "scikit-learn")}


def test_a_run_of_ours_looks_for_nothing():
    run = Run.parse(resolved(load(["model=mlp"])))
    started = time.process_time()
    assert used_versions(run, Record("0", "running")) == {}
    assert time.process_time() - started < 0.05

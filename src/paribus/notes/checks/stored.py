"""Checks and their results in a store: which are current, and how one is made. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

from paribus.evidence.checks import Stored, read, write
from paribus.notes.checks.catalogue import CHECKS, Check
from paribus.store.provenance import provenance
from paribus.store.store import Store


def current(store: Store, check: Check) -> bool:
    """Whether there is a result, made by the code as it is now."""
    stored = read(store, check.id)
    return stored is not None and stored.fingerprint == check.fingerprint


def make(store: Store, check: Check) -> Stored:
    """Run the check, and store what it measured."""
    began = time.perf_counter()
    measurements = tuple(check.load()(store))
    source = provenance(f"paribus claims notes --run --only {check.id}", 1, "cpu")
    finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
    stored = Stored(check.id, measurements, check.fingerprint, time.perf_counter() - began, source, finished)
    write(store, stored)
    return stored


def chosen(only: Sequence[str]) -> list[Check]:
    """The checks whose id begins with one of `only`; all without any."""
    return [check for check in CHECKS if not only or any(check.id.startswith(each) for each in only)]

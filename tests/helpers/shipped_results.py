"""The shipped results, read once in a process. Modules name them, and read them in tests only: collecting is quick."""

from functools import cache
from pathlib import Path

from paribus.report.packed import Shipped

RECORDS = Path(__file__).parents[2] / "results" / "records.json.xz"


@cache
def shipped() -> Shipped:
    return Shipped.read(RECORDS)

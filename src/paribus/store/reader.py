"""Records kept in memory while one command reads them again and again."""

from __future__ import annotations

from paribus.store.record import Record
from paribus.store.store import Store


class Reader:
    """Reads each record once."""

    def __init__(self, store: Store):
        self.store = store
        self.known: dict[str, Record | None] = {}

    def __call__(self, id: str) -> Record | None:
        if id not in self.known:
            self.known[id] = self.store.read(id)
        return self.known[id]

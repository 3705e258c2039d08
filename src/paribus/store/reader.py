"""Records kept in memory while one command reads them again and again."""

from __future__ import annotations

from paribus.store.index import Index, mark
from paribus.store.names import is_id
from paribus.store.record import Record
from paribus.store.store import Store


class Reader:
    """Reads each record once: from the index, where that has it as it is."""

    def __init__(self, store: Store):
        self.store = store
        self.known: dict[str, Record | None] = {}
        self.index = Index(store.root)

    def __call__(self, id: str) -> Record | None:
        if id not in self.known:
            self.known[id] = self._read(id)
        return self.known[id]

    def all(self) -> None:
        """Read all records at once, which takes less time than one after the other."""
        self.known.update((record.id, record) for record in self.store.scan())

    def _read(self, id: str) -> Record | None:
        if not is_id(id) or (now := mark(f"{self.store.runs}/{id}/record.json")) is None:
            return None
        if (record := self.index.find(id, now)) is None and (record := self.store.read(id)) is not None:
            self.index.learn(record, now)
            self.index.write_if_due()
        return record

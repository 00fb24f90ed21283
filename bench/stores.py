"""Two stores for measuring: one that counts commands, one that costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.store.api import In


class CountingStore:
    """Passes everything on and counts the commands by name."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.commands: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._store, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.commands[name] += 1
            return call(*args, **kwargs)

        return counted


class FreeStore:
    """Keeps documents in dictionaries; just what the router's batches ask for."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}
        self._open: dict[str, Any] = {}

    async def find(self, collection: Any, _workspace: str, where: Any, _page: Any) -> list[Any]:
        if collection.name != "sessions" or not isinstance(where.get("open_key"), In):
            return []
        return [self._open[key] for key in where["open_key"].values if key in self._open]

    async def get_many(self, collection: Any, _workspace: str, ids: Any) -> dict[str, Any]:
        documents = self._documents.setdefault(collection.name, {})
        return {id_: documents[id_] for id_ in ids if id_ in documents}

    async def get(self, collection: Any, _workspace: str, id_: str) -> Any:
        return self._documents.setdefault(collection.name, {}).get(id_)

    async def insert_many(self, collection: Any, docs: Any) -> dict[str, str]:
        documents = self._documents.setdefault(collection.name, {})
        refused = {doc.id: "id" for doc in docs if doc.id in documents}
        self._put(collection, [doc for doc in docs if doc.id not in refused])
        return refused

    async def replace_many(self, collection: Any, docs: Any) -> dict[str, str]:
        documents = self._documents.setdefault(collection.name, {})
        stale = {d.id: "stale_revision" for d in docs if documents[d.id].rev != d.rev}
        self._put(collection, [doc for doc in docs if doc.id not in stale])
        return stale

    def _put(self, collection: Any, docs: list[Any]) -> None:
        documents = self._documents.setdefault(collection.name, {})
        for doc in docs:
            documents[doc.id] = kept = msgspec.structs.replace(doc, rev=doc.rev + 1)
            if collection.name == "sessions":
                self._open[f"{doc.account}|{doc.visitor}"] = kept

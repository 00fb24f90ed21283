"""Documents that many ask for one by one, read together: one query for those of a workspace."""

from __future__ import annotations

import asyncio
from typing import Any

from libs.common.store.api import Collection, D, Store

WAIT_S = 0.1
"""Seconds for which the first to ask waits for others."""
AT_ONCE = 500
"""Documents of one query; no more wait than streams are open."""

_Waiting = dict[str, asyncio.Future[Any]]


class Together:
    """Reads what may wait for a moment.

    Args:
        store: Where documents are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, collection: Collection[D], workspace: str, id_: str) -> D | None:
        """Return the document as it is within the next moment, or None.

        Raises:
            StoreUnavailableError: The store is away.
        """
        waiting = self._waiting.get((collection.name, workspace))
        if waiting is None:
            waiting = self._waiting[collection.name, workspace] = {}
            task = asyncio.create_task(self._read(collection, workspace))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        future = waiting.setdefault(id_, asyncio.get_running_loop().create_future())
        found: D | None = await asyncio.shield(future)  # others may wait for it, too
        return found

    async def _read(self, collection: Collection[D], workspace: str) -> None:
        await asyncio.sleep(WAIT_S)
        waiting = self._waiting.pop((collection.name, workspace))
        ids = list(waiting)
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            try:
                found = await self._store.get_many(collection, workspace, some)
            except Exception as error:  # noqa: BLE001 (told to everybody who waits for it)
                for id_ in some:
                    waiting[id_].set_exception(error)
                    waiting[id_].exception()  # who waited may have left
            else:
                for id_ in some:
                    waiting[id_].set_result(found.get(id_))

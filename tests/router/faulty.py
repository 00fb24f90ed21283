"""A store and a bus that fail at a chosen step, as a crash or an outage would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from libs.common.bus.delivery import PubAck
from libs.common.store.api import Collection, Document, Page, Range, Store, Where
from tests.router.rig import MemoryBus

D = TypeVar("D", bound=Document)
T = TypeVar("T")


class Crashed(BaseException):
    """The process was killed here. No handler may catch it, as none could catch a kill."""


When = Literal["before", "after"]


READING = ("get ", "get_many ", "find ")


class Steps:
    """Counts the steps of a run, and fails at one of them.

    `before`: the step did not happen; `after`: it happened, and nobody heard of it. *changing*:
    what only reads is no step. Of a process that is killed at one nothing is left but what it had
    written, which is as if it were killed before its next write.
    """

    def __init__(
        self,
        fail_at: int = 0,
        moment: When = "before",
        error: type[BaseException] = Crashed,
        *,
        changing: bool = False,
    ) -> None:
        self.count = 0
        self.names: list[str] = []
        self._fail_at = fail_at
        self._moment = moment
        self._error = error
        self._changing = changing

    def fails(self, name: str, moment: When) -> bool:
        """Count a step when it begins; tell whether it is the one to fail."""
        if moment == "before":
            self.count += 1
            self.names.append(name)
        return self.count == self._fail_at and moment == self._moment

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        if self._changing and name.startswith(READING):
            return await work()
        if self.fails(name, "before"):
            raise self._error("before")
        number = self.count
        result = await work()
        if number == self._fail_at and self._moment == "after":
            raise self._error("after")
        return result


class FaultyStore:
    """A `Store` whose commands are steps."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    async def insert(self, collection: Collection[D], doc: D) -> D:
        return await self._run("insert", collection, lambda: self._store.insert(collection, doc))

    async def insert_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        if not docs:
            return {}
        return await self._run(
            "insert_many", collection, lambda: self._store.insert_many(collection, docs)
        )

    async def get(self, collection: Collection[D], workspace: str, doc_id: str) -> D | None:
        return await self._run(
            "get", collection, lambda: self._store.get(collection, workspace, doc_id)
        )

    async def get_many(
        self, collection: Collection[D], workspace: str, ids: Sequence[str]
    ) -> dict[str, D]:
        return await self._run(
            "get_many", collection, lambda: self._store.get_many(collection, workspace, ids)
        )

    async def replace(self, collection: Collection[D], doc: D) -> D:
        return await self._run("replace", collection, lambda: self._store.replace(collection, doc))

    async def replace_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        if not docs:
            return {}
        return await self._run(
            "replace_many", collection, lambda: self._store.replace_many(collection, docs)
        )

    async def delete(self, collection: Collection[D], workspace: str, doc_id: str) -> bool:
        return await self._run(
            "delete", collection, lambda: self._store.delete(collection, workspace, doc_id)
        )

    async def find(
        self, collection: Collection[D], workspace: str, where: Where, page: Page
    ) -> list[D]:
        return await self._run(
            "find", collection, lambda: self._store.find(collection, workspace, where, page)
        )

    async def count(
        self, collection: Collection[D], workspace: str, where: Where, *, limit: int = 1000
    ) -> int:
        return await self._store.count(collection, workspace, where, limit=limit)

    async def group_count(
        self, collection: Collection[D], workspace: str, where: Where, *, by: str
    ) -> dict[str, int]:
        return await self._store.group_count(collection, workspace, where, by=by)

    async def values(
        self, collection: Collection[D], workspace: str, field: str, within: Range, *, limit: int
    ) -> list[str]:
        return await self._store.values(collection, workspace, field, within, limit=limit)

    async def scrub(self) -> None:
        await self._store.scrub()

    async def healthy(self) -> bool:
        return await self._store.healthy()

    async def _run(
        self, name: str, collection: Collection[Any], work: Callable[[], Awaitable[T]]
    ) -> T:
        return await self._steps.step(f"{name} {collection.name}", work)


class FaultyBus:
    """Publishes are steps; those before the failing one are kept."""

    def __init__(self, bus: MemoryBus, steps: Steps) -> None:
        self._bus = bus
        self._steps = steps

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        if self._steps.fails(f"publish {subject.split('.', maxsplit=1)[0]}", "before"):
            raise Crashed("before")
        future = self._bus.publish_soon(subject, data, msg_id=msg_id, headers=headers)
        if self._steps.fails("", "after"):
            raise Crashed("after")
        return future

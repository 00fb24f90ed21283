"""The store on MongoDB 7 or newer, through PyMongo's asyncio driver.

Every write is acknowledged by the majority and its journal. A call whose connection breaks is
repeated once: writes carry a stamp, so the repetition finds out what the first one did.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import msgspec
from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
)

from libs.common.errors import (
    SettingsError,
    StaleRevisionError,
    StoreUnavailableError,
    UniqueConflictError,
)
from libs.common.store.api import Collection, Document, Page, Range, Store, Where
from libs.common.store.fields import Spec, Specs, check_keys
from libs.common.store.mongo_link import MongoLink, linked
from libs.common.store.mongo_query import between, change, fits, key, listed, match, sort, stored
from libs.common.store.mongo_schema import Raw, prepare
from libs.common.store.query import group_text, parse_find, parse_group, parse_values, parse_where

D = TypeVar("D", bound=Document)
T = TypeVar("T")

DEADLINE_S = 5.0
_PREPARE_S = 60.0
_HEALTH_S = 0.8
_CONNECT_S = 2.0
_DUPLICATE_KEY = 11000
_BAD_CREDENTIALS = (13, 18)
_HIDDEN = {"_id": 0, "_born": 0, "_writes": 0}


class MongoStore:
    """`Store` on one MongoDB database."""

    def __init__(self, link: MongoLink, specs: Specs) -> None:
        self._link = link
        self._specs = specs

    async def prepare(self) -> None:
        """Create the missing indexes.

        Raises:
            SettingsError: An index has drifted, or the server knows us not.
            StoreUnavailableError: No answer.
        """
        await self._ping(_CONNECT_S)
        for spec in self._specs:  # a new index over many documents takes its time
            work = partial(prepare, self._link.database[spec.name], spec)
            await self._answered(work, deadline_s=_PREPARE_S)

    async def insert(self, collection: Collection[D], doc: D) -> D:
        """See `Store.insert`."""
        refused = await self._insert(collection, [msgspec.structs.replace(doc, rev=0)])
        if refused:
            index = refused[doc.id]
            raise UniqueConflictError(f"{collection.name}: {index} exists", index=index)
        return msgspec.structs.replace(doc, rev=1)

    async def insert_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.insert_many`."""
        return await self._insert(collection, docs) if docs else {}

    async def replace(self, collection: Collection[D], doc: D) -> D:
        """See `Store.replace`."""
        refused = await self._replace(collection, [doc])
        match refused.get(doc.id):
            case None:
                return msgspec.structs.replace(doc, rev=doc.rev + 1)
            case "":
                raise StaleRevisionError(f"{doc.id} is past rev {doc.rev}, or gone")
            case index:
                raise UniqueConflictError(f"{collection.name}: {index} exists", index=index)

    async def replace_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.replace_many`."""
        refused = await self._replace(collection, docs) if docs else {}
        codes = {True: UniqueConflictError.code, False: StaleRevisionError.code}
        return {doc_id: codes[bool(index)] for doc_id, index in refused.items()}

    async def delete(self, collection: Collection[D], workspace: str, doc_id: str) -> bool:
        """See `Store.delete`."""
        raw, _ = self._of(collection)
        result = await self._answered(lambda: raw.delete_one({"_id": key(workspace, doc_id)}))
        return result.deleted_count == 1

    async def get(self, collection: Collection[D], workspace: str, doc_id: str) -> D | None:
        """See `Store.get`."""
        raw, spec = self._of(collection)
        wanted = {"_id": key(workspace, doc_id)}
        found = await self._answered(lambda: raw.find_one(wanted, _HIDDEN))
        return None if found is None else _read(spec, found)

    async def get_many(
        self, collection: Collection[D], workspace: str, ids: Sequence[str]
    ) -> dict[str, D]:
        """See `Store.get_many`."""
        raw, spec = self._of(collection)
        wanted = {"_id": {"$in": [key(workspace, doc_id) for doc_id in ids]}}
        found = await self._answered(lambda: raw.find(wanted, _HIDDEN).to_list()) if ids else []
        return {doc.id: doc for doc in (_read(spec, fields) for fields in found)}

    async def find(
        self, collection: Collection[D], workspace: str, where: Where, page: Page
    ) -> list[D]:
        """See `Store.find`."""
        raw, spec = self._of(collection)
        query = parse_find(spec, workspace, where, page)
        if query.is_empty:
            return []
        order = sort(query) or None
        found = await self._answered(
            lambda: raw.find(
                match(query), _HIDDEN, sort=order, limit=query.limit, skip=query.skip
            ).to_list()
        )
        return [_read(spec, fields) for fields in found]

    async def count(
        self, collection: Collection[D], workspace: str, where: Where, *, limit: int = 1000
    ) -> int:
        """See `Store.count`."""
        raw, spec = self._of(collection)
        query = parse_where(spec, workspace, where)
        if query.is_empty or limit < 1:
            return 0
        return await self._answered(lambda: raw.count_documents(match(query), limit=limit))

    async def group_count(
        self, collection: Collection[D], workspace: str, where: Where, *, by: str
    ) -> dict[str, int]:
        """See `Store.group_count`."""
        raw, spec = self._of(collection)
        query, field = parse_group(spec, workspace, where, by)
        if query.is_empty:
            return {}
        steps: list[dict[str, Any]] = [{"$match": match(query)}]
        if field.multikey:  # a value that stands twice in one document counts once
            steps.append({"$project": {by: {"$setUnion": [f"${by}", []]}}})
            steps.append({"$unwind": f"${by}"})
        steps.append({"$group": {"_id": f"${by}", "number": {"$sum": 1}}})

        async def aggregate() -> list[dict[str, Any]]:
            return await (await raw.aggregate(steps)).to_list()

        found = await self._answered(aggregate)
        groups = {row["_id"]: row["number"] for row in found if row["_id"] is not None}
        return {group_text(field, value): number for value, number in groups.items()}

    async def values(
        self, collection: Collection[D], workspace: str, field: str, within: Range, *, limit: int
    ) -> list[str]:
        """See `Store.values`: one or two questions for each, as the index answers in its order.

        An order cannot be asked for: MongoDB sorts by the least of all values of an array.
        """
        raw, spec = self._of(collection)
        wanted = parse_values(spec, workspace, field, within, limit)
        found: list[str] = []
        while len(found) < limit:
            least: str | None = None
            while True:
                clause = between(wanted, found[-1] if found else None, least)
                row = await self._answered(partial(raw.find_one, clause, {"_id": 0, field: 1}))
                if row is None:
                    break
                least = min(value for value in listed(row[field]) if fits(clause[field], value))
            if least is None:
                break
            found.append(least)
        return found

    async def scrub(self) -> None:
        """See `Store.scrub`: WiredTiger reuses freed blocks by itself, see docs/erasure.md."""

    async def healthy(self) -> bool:
        """See `Store.healthy`."""
        try:
            await self._ping(_HEALTH_S)
        except StoreUnavailableError:
            return False
        return True

    def _of(self, collection: Collection[D]) -> tuple[Raw, Spec[D]]:
        spec = self._specs.of(collection)
        return self._link.database[spec.name], spec

    async def _insert(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """Insert; return the violated index of each document refused."""
        check_keys(docs)
        raw, spec = self._of(collection)
        stamp = _stamp()
        written = [
            {"_id": key(doc.workspace, doc.id), **stored(spec, doc, doc.rev + 1), "_born": stamp}
            for doc in docs
        ]
        try:
            await self._answered(lambda: raw.insert_many(written, ordered=False))
        except BulkWriteError as error:
            refused = _refused(spec, docs, error)
        else:
            return {}
        doubted = [doc for doc in docs if doc.id in refused]
        for doc_id, row in (await self._present(raw, doubted)).items():
            refused[doc_id] = "id"  # named first, whatever else is violated as well
            if row["_born"] == stamp:  # the answer was lost, not the insertion
                del refused[doc_id]
        return refused

    async def _replace(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """Replace; return the violated index of each document refused, empty for a stale one."""
        check_keys(docs)
        raw, spec = self._of(collection)
        stamp = _stamp()
        updates = [
            UpdateOne(
                {"_id": key(doc.workspace, doc.id), "rev": doc.rev},
                change(spec, stored(spec, doc, doc.rev + 1), stamp),
            )
            for doc in docs
        ]
        refused: dict[str, str] = {}
        try:
            result = await self._answered(lambda: raw.bulk_write(updates, ordered=False))
            matched = result.matched_count
        except BulkWriteError as error:
            refused = _refused(spec, docs, error)
            matched = error.details["nMatched"]
        if matched + len(refused) < len(docs):
            doubted = [doc for doc in docs if doc.id not in refused]
            found = await self._present(raw, doubted)
            mine = {doc_id for doc_id, row in found.items() if stamp in row.get("_writes", ())}
            refused |= {doc.id: "" for doc in doubted if doc.id not in mine}
        return refused

    async def _present(self, raw: Raw, docs: Sequence[D]) -> dict[str, dict[str, Any]]:
        """Return the stamps of those among *docs* whose id exists, by id."""
        wanted = {"_id": {"$in": [key(doc.workspace, doc.id) for doc in docs]}}
        stamps = {"id": 1, "_born": 1, "_writes": 1}
        found = await self._answered(lambda: raw.find(wanted, stamps).to_list()) if docs else []
        return {row["id"]: row for row in found}

    async def _ping(self, deadline_s: float) -> None:
        with _mapped():
            await self._link.ping(deadline_s)

    async def _answered(self, call: Callable[[], Awaitable[T]], *, deadline_s: float = 0.0) -> T:
        """Return what *call* answers in time, calling once more when a connection breaks.

        Args:
            call: What to ask the driver.
            deadline_s: For both calls together; 0 means `DEADLINE_S`.

        Raises:
            BulkWriteError: Only with unique conflicts in it.
            StoreUnavailableError: No answer, or one that a later try may better.
            SettingsError: The server knows us not.
            ValueError: A document that BSON cannot hold.
        """
        with _mapped():
            return await self._link.answered(
                partial(_twice, call), limit_s=deadline_s or DEADLINE_S
            )


@asynccontextmanager
async def open_mongo(url: str, specs: Specs) -> AsyncIterator[Store]:
    """Connect, and create the missing indexes.

    Raises:
        SettingsError: The URL is malformed, the server knows us not, or an index has drifted.
        StoreUnavailableError: No server answers.
    """
    async with linked(url, appname="relaydesk", maxPoolSize=64) as link:
        store = MongoStore(link, specs)
        await store.prepare()
        yield store


async def _twice(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except ConnectionFailure:
        return await call()


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except BulkWriteError as error:
        if _only_conflicts(error):
            raise
        raise _unavailable(error) from error
    except (BSONError, DocumentTooLarge, OverflowError) as error:
        raise ValueError(f"BSON cannot hold it: {type(error).__name__}") from error
    except PyMongoError as error:
        raise _unavailable(error) from error


def _only_conflicts(error: BulkWriteError) -> bool:
    details = error.details or {}
    codes = {failure["code"] for failure in details.get("writeErrors", ())}
    return codes == {_DUPLICATE_KEY} and not details.get("writeConcernErrors")


def _unavailable(error: PyMongoError) -> StoreUnavailableError | SettingsError:
    code = error.code if isinstance(error, OperationFailure) else None
    if code in _BAD_CREDENTIALS:
        return SettingsError("MongoDB refused the user and password of the store's URL")
    return StoreUnavailableError(f"MongoDB failed: {type(error).__name__} {code or ''}".rstrip())


def _refused(spec: Spec[Any], docs: Sequence[Document], error: BulkWriteError) -> dict[str, str]:
    return {
        docs[failure["index"]].id: _violated(spec, failure)
        for failure in (error.details or {})["writeErrors"]
    }


def _violated(spec: Spec[Any], failure: dict[str, Any]) -> str:
    names = [name for name in failure["keyPattern"] if name != "_id"]
    return spec.violated(names) if names else "id"


def _read(spec: Spec[D], fields: dict[str, Any]) -> D:
    try:
        return msgspec.convert(fields, spec.kind)
    except msgspec.ValidationError as error:
        raise spec.unreadable(error) from error


def _stamp() -> int:
    return secrets.randbits(63)

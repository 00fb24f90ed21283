"""Both engines keep the contract, refuse what is outside it, and keep data over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from pymongo import MongoClient

from libs.common import documents
from libs.common.errors import SettingsError
from libs.common.store.api import Collection, In, Index, Page, Range, Store
from libs.common.store.open import open_store
from tests.engines import ENGINES, database_url, fresh_database
from tests.store.contract import CASES, COLLECTIONS, NOON, THINGS, Case, Thing, thing


@pytest.fixture(scope="module")
def kept_database(mongo_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A database that keeps its indexes from case to case: making them is what takes time."""
    with fresh_database(mongo_url) as url:
        client: MongoClient[dict[str, Any]]
        with MongoClient(url) as client:
            yield client


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a store without documents."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("sqlite_url"))
        return
    client = request.getfixturevalue("kept_database")
    database = client.get_default_database()
    yield database_url(request.getfixturevalue("mongo_url"), database.name)
    for collection in COLLECTIONS:
        database[collection.name].delete_many({})


@pytest.fixture
async def store(empty_url: str) -> AsyncIterator[Store]:
    async with open_store(empty_url, COLLECTIONS) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_contract(store: Store, case: Case) -> None:
    await case(store)


BY_SIZE = Page(order="size")
REFUSED: dict[str, tuple[type[Exception], str, dict[str, Any], Page]] = {
    "a field without an index": (LookupError, "free", {"free": 1}, BY_SIZE),
    "an unknown field": (LookupError, "colour", {"colour": "red"}, BY_SIZE),
    "an unknown order": (LookupError, "colour", {}, Page(order="colour")),
    "a multikey order without a value": (LookupError, "tags", {}, Page(order="tags")),
    "None as a value": (ValueError, "owner", {"owner": None}, BY_SIZE),
    "text for a number": (ValueError, "size", {"size": "1"}, BY_SIZE),
    "a truth value for a number": (ValueError, "size", {"size": True}, BY_SIZE),
    "a number for a truth value": (ValueError, "on", {"on": In((1,))}, BY_SIZE),
    "more than 64 bits": (ValueError, "size", {"size": 2**63}, BY_SIZE),
    "a time without a zone": (ValueError, "at", {"at": NOON.replace(tzinfo=None)}, BY_SIZE),
    "a wrong end of a range": (ValueError, "at", {"at": Range(ge="2026")}, BY_SIZE),
    "too many values": (ValueError, "500", {"size": In(tuple(range(501)))}, BY_SIZE),
    "a NUL": (ValueError, "name", {"name": "a\0b"}, BY_SIZE),
    "no limit": (ValueError, "limit", {}, Page(order="size", limit=0)),
    "too high a limit": (ValueError, "limit", {}, Page(order="size", limit=1001)),
    "a cursor too short": (ValueError, "cursor", {}, Page(order="size", after=(1,))),
    "a cursor of the wrong kind": (ValueError, "size", {}, Page(order="size", after=("1", "a"))),
    "a next page where there are ties": (ValueError, "ties", {}, Page(order="loose", after=("a",))),
}


@pytest.mark.parametrize(("error", "text", "where", "page"), REFUSED.values(), ids=REFUSED)
async def test_a_query_outside_the_subset_is_refused(
    store: Store, error: type[Exception], text: str, where: dict[str, Any], page: Page
) -> None:
    with pytest.raises(error, match=text):
        await store.find(THINGS, "acme", where, page)


BAD_DOCUMENTS: dict[str, Thing] = {
    "no id": msgspec.structs.replace(thing(1), id=""),
    "no workspace": msgspec.structs.replace(thing(1), workspace=""),
    "a slash in the workspace": msgspec.structs.replace(thing(1), workspace="a/b"),
    "a NUL in the id": msgspec.structs.replace(thing(1), id="a\0"),
    "a NUL in an indexed field": msgspec.structs.replace(thing(1), name="a\0"),
    "a time without a zone": msgspec.structs.replace(thing(1), at=NOON.replace(tzinfo=None)),
    "half a character": msgspec.structs.replace(thing(1), name="\ud83d"),
    "an indexed number beyond 64 bits": msgspec.structs.replace(thing(1), size=2**63),
}


@pytest.mark.parametrize("doc", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
async def test_a_document_that_cannot_be_kept_is_refused_and_not_stored(
    store: Store, doc: Thing
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        await store.insert(THINGS, doc)
    with pytest.raises(ValueError, match=r"\w"):
        await store.insert_many(THINGS, [thing(2), doc])
    assert await store.count(THINGS, "acme", {}) == 0


async def test_an_id_that_stands_twice_in_one_call_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="twice"):
        await store.insert_many(THINGS, [thing(1), thing(1)])
    with pytest.raises(ValueError, match="twice"):
        await store.replace_many(THINGS, [thing(1), thing(1, workspace="rival")])


async def test_a_collection_that_was_not_opened_is_refused(store: Store) -> None:
    with pytest.raises(LookupError, match="others"):
        await store.get(Collection("others", Thing, ()), "acme", "a")


async def test_what_is_stored_is_there_after_a_restart(store_url: str) -> None:
    async with open_store(store_url, COLLECTIONS) as first:
        stored = await first.insert(THINGS, thing(1))
        stored = await first.replace(THINGS, msgspec.structs.replace(stored, tags=("x",)))
    async with open_store(store_url, COLLECTIONS) as second:
        assert await second.get(THINGS, "acme", "t0001") == stored
        assert await second.find(THINGS, "acme", {"tags": "x"}, Page(order="tags")) == [stored]


async def test_every_declared_collection_opens_and_opens_again(store_url: str) -> None:
    for _ in range(2):
        async with open_store(store_url, documents.COLLECTIONS) as store:
            assert await store.get(documents.WORKSPACES, "acme", "acme") is None
            every: tuple[Collection[Any], ...] = documents.COLLECTIONS
            for collection in every:
                assert await store.count(collection, "acme", {}) == 0


def things(*indexes: Index) -> tuple[Collection[Any]]:
    return (Collection("things", Thing, indexes),)


DRIFTS: dict[str, tuple[Index, Index]] = {
    "other fields": (Index("i", ("name", "id")), Index("i", ("size", "id"))),
    "another order of fields": (
        Index("i", ("name", "size", "id")),
        Index("i", ("size", "name", "id")),
    ),
    "unique now": (Index("i", ("name", "id")), Index("i", ("name", "id"), unique=True)),
    "may be None now": (Index("i", ("name", "id")), Index("i", ("owner", "id"))),
}


@pytest.mark.parametrize(("before", "after"), DRIFTS.values(), ids=DRIFTS)
async def test_an_index_that_has_drifted_stops_the_start_and_is_named(
    store_url: str, before: Index, after: Index
) -> None:
    async with open_store(store_url, things(before)):
        pass
    with pytest.raises(SettingsError, match=r"things.*index i "):
        async with open_store(store_url, things(after)):
            pass


UNKEEPABLE: dict[str, tuple[Index, ...]] = {
    "an unknown field": (Index("i", ("colour",)),),
    "a field of no indexable kind": (Index("i", ("free",)),),
    "two multikey fields": (Index("i", ("tags", "tags")),),
    "a unique multikey": (Index("i", ("tags",), unique=True),),
    "no field": (Index("i", ()),),
    "a name that is none": (Index("i; drop", ("name",)),),
}


@pytest.mark.parametrize("indexes", UNKEEPABLE.values(), ids=UNKEEPABLE)
async def test_a_declaration_that_engines_cannot_hold_is_refused(
    store_url: str, indexes: tuple[Index, ...]
) -> None:
    with pytest.raises(ValueError, match="things"):
        async with open_store(store_url, things(*indexes)):
            pass


class ThingV2(Thing, kw_only=True):
    """A later version of `Thing`, with an indexed field more."""

    colour: str = "red"
    shades: tuple[str, ...] = ()


V2 = Collection(
    "things",
    ThingV2,
    (*THINGS.indexes, Index("colour", ("colour", "id")), Index("shades", ("shades", "id"))),
)


async def test_an_index_added_later_finds_older_documents(store_url: str) -> None:
    plain = Index("size", ("size", "id"))
    async with open_store(store_url, things(plain)) as old:
        await old.insert(THINGS_BY_SIZE, msgspec.structs.replace(thing(1), tags=("x", "y")))
    async with open_store(store_url, (V2,)) as new:
        [found] = await new.find(V2, "acme", {"tags": "y"}, Page(order="tags"))
        assert found == msgspec.convert(msgspec.to_builtins(found), ThingV2)
        assert [one.id for one in await new.find(V2, "acme", {}, Page(order="at"))] == ["t0001"]
        where = {"colour": "red"}
        assert len(await new.find(V2, "acme", where, Page(order="colour"))) == 1
        assert await new.group_count(V2, "acme", {}, by="colour") == {"red": 1}


THINGS_BY_SIZE = things(Index("size", ("size", "id")))[0]


async def test_older_code_keeps_the_fields_of_a_newer_version(store_url: str) -> None:
    async with open_store(store_url, (V2,)) as new, open_store(store_url, COLLECTIONS[:1]) as old:
        docs = [
            ThingV2(id=f"t{n}", workspace="acme", name=f"n{n}", colour="blue", shades=("navy",))
            for n in range(4)
        ]
        await new.insert_many(V2, docs)
        for round_ in range(2):
            seen = await old.get_many(THINGS, "acme", [doc.id for doc in docs])
            await old.replace(THINGS, msgspec.structs.replace(seen.pop("t0"), size=10 + round_))
            more = [msgspec.structs.replace(one, size=10 + round_) for one in seen.values()]
            assert await old.replace_many(THINGS, more) == {}
        found = await new.find(V2, "acme", {"shades": "navy"}, Page(order="shades"))
        assert {(one.id, one.colour, one.size, one.rev) for one in found} == {
            (doc.id, "blue", 11, 3) for doc in docs
        }
        assert await new.count(V2, "acme", {"colour": "blue"}) == 4
        back = await new.replace(V2, msgspec.structs.replace(found[0], colour="red", shades=()))
        assert await old.get(THINGS, "acme", back.id) is not None
        assert await new.count(V2, "acme", {"colour": "blue"}) == 3


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "postgres://u:secret@h/d"])
async def test_a_url_of_no_known_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        async with open_store(url, COLLECTIONS):
            pass
    assert "secret" not in str(refused.value)

"""What every store does, one sentence a case; `test_contract.py` runs them on each engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.events import TextPart
from libs.common.store.api import (
    All,
    Collection,
    Cursor,
    Document,
    In,
    Index,
    Page,
    Range,
    Store,
    Value,
    Where,
    cursor,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Case = Callable[[Store], Awaitable[None]]
CASES: dict[str, Case] = {}


class Thing(Document, kw_only=True):
    """A document with every kind of field that an index takes."""

    name: str = ""
    size: int = 0
    on: bool = False
    at: datetime | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    free: dict[str, int | str | float | None] = {}


THINGS = Collection(
    "things",
    Thing,
    (
        Index("name", ("name", "size"), unique=True),
        Index("owner", ("owner",), unique=True),
        Index("size", ("size", "id")),
        Index("at", ("at", "id")),
        Index("on", ("on", "at", "id")),
        Index("tags", ("tags", "at", "id")),
        Index("loose", ("name",)),
        Index("tagged", ("tags", "size", "id")),
    ),
)
COLLECTIONS = (THINGS, SESSIONS, MESSAGES)


def says(sentence: str) -> Callable[[Case], Case]:
    """Register a case under its sentence."""

    def register(case: Case) -> Case:
        assert sentence not in CASES
        CASES[sentence] = case
        return case

    return register


def thing(n: int, *, workspace: str = "acme", size: int | None = None) -> Thing:
    at = NOON + timedelta(microseconds=n)
    return Thing(
        id=f"t{n:04}", workspace=workspace, name=f"n{n}", size=n if size is None else size, at=at
    )


def session(n: int, *, visitor: str = "U1", workspace: str = "acme", minute: int = 0) -> Session:
    at = NOON + timedelta(minutes=minute)
    return Session(
        id=f"ses_{n}",
        workspace=workspace,
        account="line-1",
        channel="line",
        visitor=visitor,
        contact=f"con_{visitor}",
        list="unassigned",
        open_key=f"line-1|{visitor}",
        created_at=at,
        updated_at=at,
    )


def message(n: int, *, key: str = "", workspace: str = "acme") -> Message:
    return Message(
        id=f"msg_{n}",
        workspace=workspace,
        account="line-1",
        key=key or f"line:{n}",
        session="ses_1",
        visitor="U1",
        kind="message",
        occurred_at=NOON + timedelta(milliseconds=n),
        received_at=NOON,
        parts=(TextPart(text="สวัสดี 👋"),),
        provider_ids=(f"p{n}", f"q{n}"),
    )


async def fill(store: Store, count: int = 10) -> list[Thing]:
    things = [thing(n) for n in range(count)]
    assert await store.insert_many(THINGS, things) == {}
    return [msgspec.structs.replace(one, rev=1) for one in things]


def ids(docs: list[Thing]) -> list[str]:
    return [doc.id for doc in docs]


# --- insert ------------------------------------------------------------------------------------


@says("an inserted document is read back equal, at revision 1")
async def _(store: Store) -> None:
    stored = await store.insert(THINGS, thing(1))
    assert stored.rev == 1
    assert await store.get(THINGS, "acme", "t0001") == stored


@says("a document that is not there is None, and missing from many")
async def _(store: Store) -> None:
    stored = await store.insert(THINGS, thing(1))
    assert await store.get(THINGS, "acme", "t0002") is None
    assert await store.get_many(THINGS, "acme", ["t0002", "t0001"]) == {"t0001": stored}
    assert await store.get_many(THINGS, "acme", []) == {}


@says("an id that exists is refused, naming `id`")
async def _(store: Store) -> None:
    await store.insert(THINGS, thing(1))
    with pytest.raises(UniqueConflictError) as refused:
        await store.insert(THINGS, msgspec.structs.replace(thing(1), name="other"))
    assert refused.value.index == "id"
    stored = await store.get(THINGS, "acme", "t0001")
    assert stored is not None
    assert stored.name == "n1"


@says("a unique key that exists is refused, naming the index")
async def _(store: Store) -> None:
    await store.insert(SESSIONS, session(1))
    with pytest.raises(UniqueConflictError) as refused:
        await store.insert(SESSIONS, session(2))
    assert refused.value.index == "open"
    assert await store.get(SESSIONS, "acme", "ses_2") is None


@says("a unique index of two fields is broken only by both")
async def _(store: Store) -> None:
    await store.insert(THINGS, thing(1))
    await store.insert(THINGS, msgspec.structs.replace(thing(1), id="other size", size=2))
    with pytest.raises(UniqueConflictError) as refused:
        await store.insert(THINGS, msgspec.structs.replace(thing(1), id="same"))
    assert refused.value.index == "name"


@says("None keeps a document out of a unique index, so a second session opens after the first")
async def _(store: Store) -> None:
    first = await store.insert(SESSIONS, session(1))
    ended = msgspec.structs.replace(first, open_key=None, list="ended")
    await store.replace(SESSIONS, ended)
    second = await store.insert(SESSIONS, session(2))
    await store.replace(SESSIONS, msgspec.structs.replace(second, open_key=None, list="ended"))
    await store.insert(SESSIONS, session(3))
    open_now = await store.find(SESSIONS, "acme", {"open_key": "line-1|U1"}, Page(order="open"))
    assert [one.id for one in open_now] == ["ses_3"]
    assert [one.id for one in await store.find(SESSIONS, "acme", {}, Page(order="open"))] == [
        "ses_3"
    ]


@says("of many insertions the conflicts in the middle are named and the rest is kept")
async def _(store: Store) -> None:
    await store.insert_many(MESSAGES, [message(3), message(50, key="line:5")])
    refused = await store.insert_many(MESSAGES, [message(n) for n in range(8)])
    assert refused == {"msg_3": "id", "msg_5": "key"}
    stored = await store.get_many(MESSAGES, "acme", [f"msg_{n}" for n in range(8)])
    assert sorted(stored) == [f"msg_{n}" for n in (0, 1, 2, 3, 4, 6, 7)]
    assert all(one.rev == 1 for one in stored.values())


@says("nothing to insert or replace is no failure")
async def _(store: Store) -> None:
    assert await store.insert_many(THINGS, []) == {}
    assert await store.replace_many(THINGS, []) == {}


@says("two hundred messages go in at once and come out whole")
async def _(store: Store) -> None:
    batch = [message(n) for n in range(200)]
    assert await store.insert_many(MESSAGES, batch) == {}
    found = await store.get_many(MESSAGES, "acme", [one.id for one in batch])
    assert found == {one.id: msgspec.structs.replace(one, rev=1) for one in batch}


# --- replace -----------------------------------------------------------------------------------


@says("a replacement raises the revision by one and is read back equal")
async def _(store: Store) -> None:
    first = await store.insert(SESSIONS, session(1))
    wanted = msgspec.structs.replace(
        first, owner="amy", assignee_ids=("amy", "bo"), reads={"amy": 3}, recent=("e1",)
    )
    stored = await store.replace(SESSIONS, wanted)
    assert stored == msgspec.structs.replace(wanted, rev=2)
    assert await store.get(SESSIONS, "acme", "ses_1") == stored


@says("a replacement gives a field its default back")
async def _(store: Store) -> None:
    full = Thing(
        id="a", workspace="acme", on=True, at=NOON, owner="amy", tags=("x",), free={"k": 1}
    )
    stored = await store.insert(THINGS, full)
    bare = await store.replace(THINGS, Thing(id="a", workspace="acme", rev=stored.rev))
    assert bare == Thing(id="a", workspace="acme", rev=2)
    assert await store.get(THINGS, "acme", "a") == bare
    assert await store.find(THINGS, "acme", {"tags": "x"}, Page(order="tags")) == []


@says("a replacement of an older revision is refused and changes nothing")
async def _(store: Store) -> None:
    first = await store.insert(THINGS, thing(1))
    second = await store.replace(THINGS, msgspec.structs.replace(first, size=20))
    with pytest.raises(StaleRevisionError):
        await store.replace(THINGS, msgspec.structs.replace(first, size=30))
    assert await store.get(THINGS, "acme", "t0001") == second


@says("a replacement of what is not there is refused")
async def _(store: Store) -> None:
    with pytest.raises(StaleRevisionError):
        await store.replace(THINGS, msgspec.structs.replace(thing(1), rev=1))
    assert await store.get(THINGS, "acme", "t0001") is None


@says("a replacement that breaks a unique index is refused, naming it")
async def _(store: Store) -> None:
    await store.insert(SESSIONS, session(1))
    other = await store.insert(SESSIONS, session(2, visitor="U2"))
    with pytest.raises(UniqueConflictError) as refused:
        await store.replace(SESSIONS, msgspec.structs.replace(other, open_key="line-1|U1"))
    assert refused.value.index == "open"
    assert await store.get(SESSIONS, "acme", "ses_2") == other


@says("of sixteen writers with the same revision exactly one wins")
async def _(store: Store) -> None:
    first = await store.insert(THINGS, thing(1))

    async def write(n: int) -> Thing | None:
        try:
            return await store.replace(THINGS, msgspec.structs.replace(first, size=100 + n))
        except StaleRevisionError:
            return None

    winners = [one for one in await asyncio.gather(*map(write, range(16))) if one]
    assert len(winners) == 1
    assert await store.get(THINGS, "acme", "t0001") == winners[0]


@says("of sixteen callers who open a session for a visitor exactly one wins")
async def _(store: Store) -> None:
    async def begin(n: int) -> str:
        try:
            return (await store.insert(SESSIONS, session(n))).id
        except UniqueConflictError as error:
            return error.index

    answers = await asyncio.gather(*map(begin, range(16)))
    assert answers.count("open") == 15


@says("sixteen writers who retry lose no update")
async def _(store: Store) -> None:
    await store.insert(THINGS, thing(1, size=0))

    async def add() -> None:
        while True:
            now = await store.get(THINGS, "acme", "t0001")
            assert now is not None
            try:
                await store.replace(THINGS, msgspec.structs.replace(now, size=now.size + 1))
            except StaleRevisionError:
                continue
            return

    await asyncio.gather(*(add() for _ in range(16)))
    last = await store.get(THINGS, "acme", "t0001")
    assert last is not None
    assert (last.size, last.rev) == (16, 17)


@says("of many replacements the stale and the conflicting are named and the rest is written")
async def _(store: Store) -> None:
    things = await fill(store, 6)
    await store.replace(THINGS, msgspec.structs.replace(things[2], on=True))
    changed = [msgspec.structs.replace(one, size=one.size + 100) for one in things]
    changed[4] = msgspec.structs.replace(things[4], name="n1", size=101)
    gone = msgspec.structs.replace(thing(77), rev=1)
    refused = await store.replace_many(THINGS, [*changed, gone])
    assert refused == {
        "t0002": "stale_revision",
        "t0004": "unique_conflict",
        "t0077": "stale_revision",
    }
    now = await store.get_many(THINGS, "acme", [one.id for one in things])
    assert [(now[one.id].size, now[one.id].rev) for one in things] == [
        (100, 2),
        (101, 2),
        (2, 2),
        (103, 2),
        (4, 1),
        (105, 2),
    ]


@says("one stale document among many is named alone, and the others are written once")
async def _(store: Store) -> None:
    things = await fill(store, 5)
    await store.replace(THINGS, things[3])
    changed = [msgspec.structs.replace(one, tags=(one.id,)) for one in things]
    assert await store.replace_many(THINGS, changed) == {"t0003": "stale_revision"}
    now = await store.get_many(THINGS, "acme", ids(things))
    assert {doc_id: (one.rev, one.tags) for doc_id, one in now.items()} == {
        one.id: (2, () if one.id == "t0003" else (one.id,)) for one in things
    }
    for one in things:
        found = await store.find(THINGS, "acme", {"tags": one.id}, Page(order="tags"))
        assert ids(found) == list(now[one.id].tags)


@says("two batches over the same sessions write each session once")
async def _(store: Store) -> None:
    sessions = [session(n, visitor=f"U{n}") for n in range(50)]
    await store.insert_many(SESSIONS, sessions)
    stored = [msgspec.structs.replace(one, rev=1) for one in sessions]

    async def write(name: str) -> dict[str, str]:
        mine = [msgspec.structs.replace(one, owner=name, assignee_ids=(name,)) for one in stored]
        return await store.replace_many(SESSIONS, mine)

    amy, bo = await asyncio.gather(write("amy"), write("bo"))
    assert set(amy.values()) | set(bo.values()) == {"stale_revision"}
    assert len(amy) + len(bo) == 50
    for name, lost in (("amy", amy), ("bo", bo)):
        where = {"assignee_ids": name}
        found = await store.find(SESSIONS, "acme", where, Page(order="assignee", limit=100))
        assert {one.id for one in found} == {one.id for one in sessions} - lost.keys()
        assert {(one.owner, one.rev) for one in found} <= {(name, 2)}


# --- delete ------------------------------------------------------------------------------------


@says("a deletion tells whether there was something, and frees its unique keys")
async def _(store: Store) -> None:
    await store.insert(MESSAGES, message(1))
    assert await store.delete(MESSAGES, "acme", "msg_1") is True
    assert await store.delete(MESSAGES, "acme", "msg_1") is False
    assert await store.get(MESSAGES, "acme", "msg_1") is None
    where = {"account": "line-1", "provider_ids": "p1"}
    assert await store.find(MESSAGES, "acme", where, Page(order="provider")) == []
    await store.insert(MESSAGES, message(1))


# --- the wall ----------------------------------------------------------------------------------


@says("a workspace neither sees, blocks, changes nor deletes what another has under the same keys")
async def _(store: Store) -> None:
    ours = await store.insert(SESSIONS, session(1))
    theirs = await store.insert(SESSIONS, session(1, workspace="rival", minute=5))
    assert await store.get(SESSIONS, "acme", "ses_1") == ours
    assert await store.get_many(SESSIONS, "rival", ["ses_1"]) == {"ses_1": theirs}
    assert await store.find(SESSIONS, "acme", {}, Page(order="updated")) == [ours]
    assert await store.count(SESSIONS, "rival", {}) == 1
    assert await store.group_count(SESSIONS, "acme", {}, by="list") == {"unassigned": 1}
    await store.replace(SESSIONS, msgspec.structs.replace(ours, list="assigned"))
    assert await store.delete(SESSIONS, "acme", "ses_1")
    assert await store.get(SESSIONS, "rival", "ses_1") == theirs


@says("a query without a proper workspace cannot be written")
async def _(store: Store) -> None:
    await store.insert(THINGS, msgspec.structs.replace(thing(1), id="b/c"))
    for workspace in ("", "acme/b", "a\0"):
        for query in (
            store.get(THINGS, workspace, "c"),
            store.get_many(THINGS, workspace, ["c"]),
            store.delete(THINGS, workspace, "c"),
            store.find(THINGS, workspace, {}, Page(order="size")),
            store.count(THINGS, workspace, {}),
            store.group_count(THINGS, workspace, {}, by="size"),
        ):
            with pytest.raises(ValueError, match="workspace"):
                await query


# --- find --------------------------------------------------------------------------------------


@says("rows come in the order of the index, either way")
async def _(store: Store) -> None:
    things = await fill(store)
    assert await store.find(THINGS, "acme", {}, Page(order="size")) == things
    back = await store.find(THINGS, "acme", {}, Page(order="at", descending=True))
    assert back == things[::-1]


@says("pages follow one another without a gap or a repeat, even where the leading value is equal")
async def _(store: Store) -> None:
    same = [msgspec.structs.replace(thing(n), size=n // 4) for n in range(23)]
    await store.insert_many(THINGS, same)
    for descending in (False, True):
        seen: list[str] = []
        after: Cursor | None = None
        for _ in range(6):
            page = Page(order="size", descending=descending, after=after, limit=5)
            rows = await store.find(THINGS, "acme", {}, page)
            if not rows:
                break
            seen += ids(rows)
            after = cursor(THINGS, "size", rows[-1])
        assert seen == sorted(ids(same), reverse=descending)


@says("pages stay stable while documents are inserted before and behind")
async def _(store: Store) -> None:
    await store.insert_many(THINGS, [thing(n) for n in range(10, 20)])
    first = await store.find(THINGS, "acme", {}, Page(order="size", limit=4))
    await store.insert_many(THINGS, [thing(5), thing(30)])
    behind = Page(order="size", after=cursor(THINGS, "size", first[-1]), limit=50)
    rest = await store.find(THINGS, "acme", {}, behind)
    assert ids(first) + ids(rest) == [f"t{n:04}" for n in [*range(10, 20), 30]]


@says("a page of a list continues by time and id, newest first")
async def _(store: Store) -> None:
    sessions = [session(n, visitor=f"U{n}", minute=n // 3) for n in range(12)]
    await store.insert_many(SESSIONS, sessions)
    page = Page(order="list", descending=True, limit=5)
    first = await store.find(SESSIONS, "acme", {"list": "unassigned"}, page)
    behind = msgspec.structs.replace(page, after=cursor(SESSIONS, "list", first[-1]), limit=50)
    rest = await store.find(SESSIONS, "acme", {"list": "unassigned"}, behind)
    wanted = sorted(sessions, key=lambda one: (one.updated_at, one.id), reverse=True)
    assert [one.id for one in first + rest] == [one.id for one in wanted]


@says("a page ordered by a multikey index continues behind its cursor")
async def _(store: Store) -> None:
    tagged = [msgspec.structs.replace(thing(n), tags=("x", f"y{n % 2}")) for n in range(9)]
    await store.insert_many(THINGS, tagged)
    first = await store.find(THINGS, "acme", {"tags": "x"}, Page(order="tags", limit=4))
    behind = Page(order="tags", after=cursor(THINGS, "tags", first[-1]))
    rest = await store.find(THINGS, "acme", {"tags": "x"}, behind)
    assert ids(first) + ids(rest) == [one.id for one in tagged]


@says("behind the only document of a fully given key there is nothing")
async def _(store: Store) -> None:
    [one] = await fill(store, 1)
    where: dict[str, Value] = {"name": "n0", "size": 0}
    assert await store.find(THINGS, "acme", where, Page(order="name")) == [one]
    behind = Page(order="name", after=cursor(THINGS, "name", one))
    assert await store.find(THINGS, "acme", where, behind) == []


@says("equality, In and Range choose; Range takes its lower end and leaves its upper")
async def _(store: Store) -> None:
    await fill(store)
    by_size = Page(order="size")

    async def sizes(wanted: Value | In | Range) -> list[int]:
        return [one.size for one in await store.find(THINGS, "acme", {"size": wanted}, by_size)]

    assert await sizes(4) == [4]
    assert await sizes(In((7, 2, 2, 99))) == [2, 7]
    assert await sizes(In(())) == []
    assert await sizes(Range(ge=3, lt=6)) == [3, 4, 5]
    assert await sizes(Range(lt=2)) == [0, 1]
    assert await sizes(Range(ge=8)) == [8, 9]
    assert await sizes(Range()) == list(range(10))


@says("times are compared to the microsecond, whatever their zone")
async def _(store: Store) -> None:
    await fill(store)
    there = (NOON + timedelta(microseconds=4)).astimezone(timezone(timedelta(hours=7)))
    found = await store.find(THINGS, "acme", {"at": there}, Page(order="at"))
    assert ids(found) == ["t0004"]
    found = await store.find(THINGS, "acme", {"at": Range(ge=there)}, Page(order="at"))
    assert ids(found) == [f"t{n:04}" for n in range(4, 10)]


@says("a field of another index filters the walk")
async def _(store: Store) -> None:
    things = [
        msgspec.structs.replace(thing(n), on=n % 2 == 0, tags=("x",) if n % 3 == 0 else ())
        for n in range(12)
    ]
    await store.insert_many(THINGS, things)
    where: Where = {"on": True, "tags": "x", "size": Range(ge=1)}
    assert ids(await store.find(THINGS, "acme", where, Page(order="at"))) == ["t0006"]
    where = {"tags": In(("x", "nothing"))}
    assert len(await store.find(THINGS, "acme", where, Page(order="size", limit=3))) == 3


@says("one walk serves the filters of a console list: list, channel, account, assignee")
async def _(store: Store) -> None:
    wanted = msgspec.structs.replace(
        session(1), list="assigned", owner="amy", assignee_ids=("amy", "bo")
    )
    others = [
        msgspec.structs.replace(session(n, visitor=f"U{n}"), list="assigned", assignee_ids=("cy",))
        for n in range(2, 6)
    ]
    await store.insert_many(SESSIONS, [wanted, *others])
    where: dict[str, Value] = {
        "list": "assigned",
        "channel": "line",
        "account": "line-1",
        "assignee_ids": "bo",
    }
    for order in ("list", "channel", "account", "assignee", "updated"):
        found = await store.find(SESSIONS, "acme", where, Page(order=order, descending=True))
        assert [one.id for one in found] == ["ses_1"]


@says("equality on a multikey field means contains")
async def _(store: Store) -> None:
    await store.insert_many(MESSAGES, [message(n) for n in range(5)])
    where = {"account": "line-1", "provider_ids": "q3"}
    found = await store.find(MESSAGES, "acme", where, Page(order="provider"))
    assert [one.id for one in found] == ["msg_3"]
    renamed = msgspec.structs.replace(found[0], provider_ids=("r3",))
    await store.replace(MESSAGES, renamed)
    assert await store.find(MESSAGES, "acme", where, Page(order="provider")) == []


@says("a range on a multikey field is met by one value, not by two together")
async def _(store: Store) -> None:
    await store.insert(THINGS, msgspec.structs.replace(thing(1), tags=("a", "z", "a")))
    where: Where = {"tags": Range(ge="b", lt="y")}
    assert await store.find(THINGS, "acme", where, Page(order="at")) == []
    where = {"tags": Range(ge="y")}
    assert ids(await store.find(THINGS, "acme", where, Page(order="at"))) == ["t0001"]


@says("a document with None is left out of the orders over that field, and comes back with a value")
async def _(store: Store) -> None:
    bare = await store.insert(THINGS, msgspec.structs.replace(thing(1), at=None))
    for order, where in (("at", {}), ("on", {"on": False})):
        assert await store.find(THINGS, "acme", where, Page(order=order)) == []
    assert len(await store.find(THINGS, "acme", {}, Page(order="size"))) == 1
    await store.replace(THINGS, msgspec.structs.replace(bare, at=NOON))
    assert len(await store.find(THINGS, "acme", {"on": False}, Page(order="on"))) == 1


@says("an index without ties' end is still sorted for good, by id")
async def _(store: Store) -> None:
    same = [msgspec.structs.replace(thing(n), name="same") for n in range(6)]
    await store.insert_many(THINGS, same[::-1])
    assert ids(await store.find(THINGS, "acme", {}, Page(order="loose"))) == ids(same)


@says("a page ends at its limit")
async def _(store: Store) -> None:
    await fill(store)
    assert len(await store.find(THINGS, "acme", {}, Page(order="size", limit=3))) == 3
    assert len(await store.find(THINGS, "acme", {}, Page(order="size", limit=1000))) == 10


# --- counts ------------------------------------------------------------------------------------


@says("a count stops at its limit")
async def _(store: Store) -> None:
    await fill(store, 20)
    assert await store.count(THINGS, "acme", {}) == 20
    assert await store.count(THINGS, "acme", {}, limit=7) == 7
    assert await store.count(THINGS, "acme", {"size": Range(ge=15)}, limit=7) == 5
    assert await store.count(THINGS, "acme", {"size": 99}) == 0


@says("a count by a multikey field counts documents, not values")
async def _(store: Store) -> None:
    await store.insert(THINGS, msgspec.structs.replace(thing(1), tags=("x", "y", "x")))
    await store.insert(THINGS, msgspec.structs.replace(thing(2), tags=("y",)))
    assert await store.count(THINGS, "acme", {"tags": "y"}) == 2
    assert await store.count(THINGS, "acme", {"tags": In(("x", "y"))}) == 2
    assert await store.count(THINGS, "acme", {"tags": "x", "size": 1}) == 1


@says("a multikey field can be asked for several values and beginnings at once")
async def _(store: Store) -> None:
    held = {1: ("ab", "cd", "ef"), 2: ("ab", "ef"), 3: ("ab", "abc", "cd"), 4: ("b",), 5: ()}
    await store.insert_many(
        THINGS, [msgspec.structs.replace(thing(n), tags=tags) for n, tags in held.items()]
    )

    async def found(*values: str, begins: tuple[str, ...] = ()) -> list[int]:
        where = {"tags": All(values, begins)}
        rows = await store.find(THINGS, "acme", where, Page(order="size", descending=True))
        assert await store.count(THINGS, "acme", where) == len(rows)
        if values:
            walked = await store.find(THINGS, "acme", where, Page(order="tagged", descending=True))
            assert walked == rows
        return [row.size for row in rows]

    assert await found("ab") == [3, 2, 1]
    assert await found("ab", "cd") == await found("cd", "ab", "cd") == [3, 1]
    assert await found("ab", "zz") == []
    assert await found("ab", begins=("e",)) == [2, 1]
    assert await found(begins=("ab",)) == [3, 2, 1]
    assert await found(begins=("abc",)) == [3]
    assert await found("cd", begins=("ab", "e")) == [1]
    assert await found(begins=("",)) == [4, 3, 2, 1]
    for wrong in (All(()), All(("x",) * 21), All((), ("x",) * 21)):
        with pytest.raises(ValueError, match="1 to 20"):
            await store.count(THINGS, "acme", {"tags": wrong})
    for field, one in (("name", All(("x",))), ("size", All((1,)))):
        with pytest.raises(LookupError, match="one value only"):
            await store.count(THINGS, "acme", {field: one})
    with pytest.raises(LookupError, match="needs one value"):
        await store.find(THINGS, "acme", {"tags": All((), ("a",))}, Page(order="tagged"))


@says("a page can pass over rows")
async def _(store: Store) -> None:
    await store.insert_many(
        THINGS, [msgspec.structs.replace(thing(n), tags=("x",)) for n in range(6)]
    )
    for order, where in (("size", {}), ("tagged", {"tags": "x"})):
        page = Page(order=order, limit=2, skip=3)
        assert [row.size for row in await store.find(THINGS, "acme", where, page)] == [3, 4]
        page = Page(order=order, descending=True, limit=1, skip=6)
        assert await store.find(THINGS, "acme", where, page) == []
    for skip in (-1, 10_001):
        with pytest.raises(ValueError, match="skip"):
            await store.find(THINGS, "acme", {}, Page(order="size", skip=skip))


@says("the values of a text field are listed, each once, in order")
async def _(store: Store) -> None:
    held = {1: ("b", "ab"), 2: ("ab", "abc", "b"), 3: ("ไทย", "a"), 4: ()}
    await store.insert_many(
        THINGS, [msgspec.structs.replace(thing(n), tags=tags) for n, tags in held.items()]
    )

    async def listed(ge: str | None, lt: str | None, limit: int = 10) -> list[str]:
        return await store.values(THINGS, "acme", "tags", Range(ge, lt), limit=limit)

    assert await listed(None, None) == ["a", "ab", "abc", "b", "ไทย"]
    assert await listed("ab", "b") == ["ab", "abc"]
    assert await listed("ab", None, 2) == ["ab", "abc"]
    assert await listed("abx", "ac") == []
    assert await store.values(THINGS, "rival", "tags", Range(), limit=5) == []
    assert await store.values(THINGS, "acme", "name", Range("n2"), limit=2) == ["n2", "n3"]
    for field in ("size", "free", "id"):
        with pytest.raises(LookupError):
            await store.values(THINGS, "acme", field, Range(), limit=1)
    for limit in (0, 1001):
        with pytest.raises(ValueError, match="limit"):
            await store.values(THINGS, "acme", "tags", Range(), limit=limit)


@says("a grouped count has the text of each value, and leaves None out")
async def _(store: Store) -> None:
    things = [
        msgspec.structs.replace(
            thing(n), on=n == 0, owner=None if n else "amy", tags=("x", f"y{n % 2}", "x")
        )
        for n in range(5)
    ]
    await store.insert_many(THINGS, things)
    assert await store.group_count(THINGS, "acme", {}, by="on") == {"true": 1, "false": 4}
    assert await store.group_count(THINGS, "acme", {}, by="owner") == {"amy": 1}
    assert await store.group_count(THINGS, "acme", {}, by="tags") == {"x": 5, "y0": 3, "y1": 2}
    only: Where = {"tags": "y1", "size": Range(ge=2)}
    assert await store.group_count(THINGS, "acme", only, by="tags") == {"x": 1, "y1": 1}
    assert await store.group_count(THINGS, "acme", only, by="size") == {"3": 1}
    assert await store.group_count(THINGS, "rival", {}, by="tags") == {}


# --- values ------------------------------------------------------------------------------------


@says("text, numbers and times come back as they went in")
async def _(store: Store) -> None:
    odd = Thing(
        id="ключ 🗝/\"'%\\",
        workspace="acme",
        name="",
        size=-(2**63),
        at=datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
        owner="",
        tags=("", "ไทย", "a\nb", "e\u0301", "é"),
        free={"": 2**63 - 1, "a.b": -1, "$set": "", "né": 0.1, "x": 1e300, "none": None, "f": 2.0},
    )
    stored = await store.insert(THINGS, odd)
    assert await store.get(THINGS, "acme", odd.id) == stored
    where: dict[str, Value] = {"tags": "e\u0301", "owner": "", "size": -(2**63)}
    assert await store.find(THINGS, "acme", where, Page(order="tags")) == [stored]
    again = await store.replace(THINGS, msgspec.structs.replace(stored, size=2**63 - 1))
    assert await store.find(THINGS, "acme", {"size": 2**63 - 1}, Page(order="size")) == [again]


@says("text is ordered by code point, also beyond the basic plane")
async def _(store: Store) -> None:
    names = ["", "A", "Z", "a", "ab", "é", "ไ", "\uffee", "👋"]
    things = [msgspec.structs.replace(thing(n), name=name) for n, name in enumerate(names)]
    await store.insert_many(THINGS, things[::-1])
    found = await store.find(THINGS, "acme", {}, Page(order="name"))
    assert [one.name for one in found] == names


@says("years far away keep their order")
async def _(store: Store) -> None:
    times = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 999, 1970, 2026, 9999)]
    things = [msgspec.structs.replace(thing(n), at=at) for n, at in enumerate(times)]
    await store.insert_many(THINGS, things[::-1])
    assert [one.at for one in await store.find(THINGS, "acme", {}, Page(order="at"))] == times


@says("a store that answers is healthy")
async def _(store: Store) -> None:
    assert await store.healthy()

"""Sessions put aside: how they are taken back, and that lists and counts leave them out."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import COLLECTIONS, SESSIONS, EndedFrom, Session
from libs.common.store.open import open_store
from services.desk import inbox as inboxes
from services.desk.filters import SessionFilter, Snoozed, matches
from services.desk.inbox import Inbox, Position
from tests.desk import test_filters as plain
from tests.desk.test_actions import facts
from tests.desk.world import World
from tests.soak import sized

SNOOZED: tuple[Snoozed, ...] = ("false", "true", "all")


def ahead(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


async def test_a_snoozed_session_is_out_of_the_list_until_the_visitor_writes(world: World) -> None:
    session = await world.writes("hello")
    await world.writes("hi", visitor="U2")
    until = ahead(hours=3)
    done = await world.do("snooze", session.id, body={"until": until})
    assert (done.status, done.json["snoozed_by"]) == (200, "agt-amy")
    assert datetime.fromisoformat(done.json["snoozed_until"]) == datetime.fromisoformat(until)
    assert done.json["list"] == session.list
    assert await listed(world) == {"false": ["U2"], "true": ["U1"], "all": ["U1", "U2"]}
    assert (await world.get("/unread"))["total"] == 1
    await world.writes("again")
    assert await listed(world) == {"false": ["U1", "U2"], "true": [], "all": ["U1", "U2"]}
    assert (await world.get("/unread"))["total"] == 3
    told = await facts(world, session.id, "session.snoozed")
    assert [fact.because for fact in told] == ["snoozed", "visitor_wrote"]


async def test_it_is_taken_back_by_hand_and_again_without_effect(world: World) -> None:
    session = await world.writes("hello")
    await world.do("snooze", session.id, body={"until": ahead(days=1)})
    path = f"/sessions/{session.id}/snooze"
    for _ in range(2):
        back = await world.call("DELETE", path, "bob")
        assert (back.status, back.json["snoozed_until"], back.json["snoozed_by"]) == (200, None, "")
    told = await facts(world, session.id, "session.snoozed")
    assert [fact.because for fact in told] == ["snoozed", "taken_back"]


WRONG: dict[str, tuple[Any, int, str]] = {
    "a time that has passed": (lambda: {"until": ahead(seconds=-1)}, 422, "until"),
    "more than a year": (lambda: {"until": ahead(days=366)}, 422, "until"),
    "no zone": (lambda: {"until": "2030-01-01T00:00:00"}, 422, "until"),
    "no time": (lambda: {"until": "tomorrow"}, 422, "until"),
    "nothing": (dict, 422, "until"),
    "null": (lambda: {"until": None}, 422, "until"),
}


@pytest.mark.parametrize(("body", "status", "field"), WRONG.values(), ids=WRONG)
async def test_when_it_is_to_come_back_must_be_said_rightly(
    world: World, body: Any, status: int, field: str
) -> None:
    session = await world.writes("hello")
    done = await world.do("snooze", session.id, body=body())
    assert (done.status, done.json["facts"]["field"]) == (status, field)
    assert done.json["facts"]["allowed"]
    assert (await world.session(session.id)).snoozed_until is None


async def test_what_has_ended_is_not_put_aside(world: World) -> None:
    session = await world.writes("hello")
    await world.do("end", session.id)
    done = await world.do("snooze", session.id, body={"until": ahead(days=1)})
    assert (done.status, done.json["code"]) == (409, "session_ended")


async def test_d07_what_ended_by_itself_is_restored_within_its_time_and_nothing_else(
    world: World,
) -> None:
    session = await world.writes("hello")
    assert (await world.do("restore", session.id)).status == 200  # it is open: nothing to do
    await world.do("end", session.id)
    refused = await world.do("restore", session.id)
    assert (refused.status, refused.json["code"]) == (409, "not_restorable")
    ended = await world.session(session.id)
    origin = EndedFrom(list="unassigned", until=datetime.now(UTC) + timedelta(hours=1))
    by_itself = msgspec.structs.replace(ended, end_reason="auto_terminated", ended_from=origin)
    await world.store.replace(SESSIONS, by_itself)
    done = await world.do("restore", session.id)
    assert (done.status, done.json["list"], done.json["ended_at"]) == (200, "unassigned", None)


async def listed(world: World) -> dict[str, list[str]]:
    """Return the visitors in each view; the counts must agree with the rows."""
    found: dict[str, list[str]] = {}
    for view in SNOOZED:
        answer = await world.get("/sessions", snoozed=view)
        rows = [row["id"] for row in answer["items"]]
        found[view] = sorted([(await world.session(row)).visitor for row in rows])
        counts = answer["counts"]
        assert sum(counts["lists"].values()) == len(rows)
        assert sum(counts["accounts"].values()) == len(rows)
        assert sum(counts["channels"].values()) == len(rows)
    return found


# --- against a plain scan ------------------------------------------------------------------------


def fixtures() -> list[Session]:
    """Return the sessions of the other filters, of which every third open one is snoozed."""
    rows = plain.fixtures()
    for n, row in enumerate(rows):
        if row.list != "ended" and n % 3 == 0:
            row.snoozed_until = plain.T0 + timedelta(seconds=(n * 31) % 17)
            row.snoozed_by = plain.ME
    return rows


def scan(rows: list[Session], wanted: SessionFilter) -> list[Session]:
    """Return what *wanted* means by looking at every session, in the order of its view."""
    fit: dict[Snoozed, Any] = {
        "false": lambda s: s.snoozed_until is None,
        "true": lambda s: s.snoozed_until is not None,
        "all": lambda _: True,
    }
    found = [s for s in plain.scan(rows, wanted) if fit[wanted.snoozed](s)]
    if wanted.snoozed == "true":
        found.sort(key=lambda s: (s.snoozed_until or plain.T0, s.id))
    return found


def some(count: int, seed: int) -> list[SessionFilter]:
    every = [
        msgspec.structs.replace(wanted, snoozed=view)
        for wanted, view in itertools.product(plain.combinations(), SNOOZED)
    ]
    return random.Random(seed).sample(every, count)  # noqa: S311  # a choice, no secret


def counted(rows: list[Session], wanted: SessionFilter) -> dict[str, dict[str, int]]:
    change = msgspec.structs.replace

    def size(**values: Any) -> int:
        return len(scan(rows, change(wanted, **values)))

    return {
        "lists": {name: size(lists=(name,)) for name in (*plain.OPEN, "ended")},
        "parties": {name: size(parties=(name,)) for name in ("bot", "agent")},
        "assignee": {name: size(assignees=(name,)) for name in ("me", "new", "others")},
        "channels": dict(Counter(s.channel for s in scan(rows, change(wanted, channels=())))),
        "accounts": dict(Counter(s.account for s in scan(rows, change(wanted, accounts=())))),
        "tags": dict(Counter(t for s in scan(rows, change(wanted, tags=())) for t in s.tags)),
    }


@asynccontextmanager
async def inbox_on(url: str) -> AsyncIterator[Inbox]:
    async with open_store(url, COLLECTIONS) as store:
        assert await store.insert_many(SESSIONS, fixtures()) == {}
        yield Inbox(store)


async def all_pages(inbox: Inbox, wanted: SessionFilter, limit: int) -> list[str]:
    found: list[str] = []
    after: Position | None = None
    while True:
        page = await inbox.page("acme", wanted, after=after, limit=limit)
        assert len(page.rows) <= limit
        found += [row.id for row in page.rows]
        after = page.next
        if after is None:
            return found


def test_the_plain_test_of_a_filter_means_what_a_scan_means() -> None:
    rows = fixtures()
    for wanted in some(500, seed=1):
        assert {s.id for s in rows if matches(s, wanted)} == {s.id for s in scan(rows, wanted)}


@pytest.mark.parametrize(("limit", "scanned"), [(200, 2000), (3, 2000), (2, 1)])
async def test_pages_put_together_are_the_view(
    ready_url: str, monkeypatch: pytest.MonkeyPatch, limit: int, scanned: int
) -> None:
    monkeypatch.setattr(inboxes, "SCAN_LIMIT", scanned)
    rows = fixtures()
    async with inbox_on(ready_url) as inbox:
        for wanted in some(150 if limit == 200 else 25, seed=limit):
            expected = [s.id for s in scan(rows, wanted)]
            assert await all_pages(inbox, wanted, limit) == expected, wanted


@pytest.mark.parametrize("most", [1000, 4])
async def test_each_count_is_what_choosing_that_value_would_show(
    ready_url: str, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(inboxes, "COUNT_LIMIT", most)
    rows = fixtures()
    async with inbox_on(ready_url) as inbox:
        for wanted in [SessionFilter(me=plain.ME), *some(40, seed=24)]:
            found = msgspec.structs.asdict(await inbox.facets("acme", wanted))
            expected = {
                name: {value: min(n, most) for value, n in counts.items()}
                for name, counts in counted(rows, wanted).items()
            }
            assert found == expected, wanted


async def test_on_mongodb_pages_and_counts_are_the_same(mongo_database_url: str) -> None:
    rows = fixtures()
    async with inbox_on(mongo_database_url) as inbox:
        for wanted in [SessionFilter(me=plain.ME), *some(sized(6, 50), seed=7)]:
            expected = [s.id for s in scan(rows, wanted)]
            assert await all_pages(inbox, wanted, limit=20) == expected, wanted
            found = msgspec.structs.asdict(await inbox.facets("acme", wanted))
            assert found == counted(rows, wanted), wanted

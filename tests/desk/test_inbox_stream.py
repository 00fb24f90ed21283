"""What a console is told as it happens: nothing is missed, doubled harmfully, or out of scope."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common.documents import AGENTS, SESSIONS
from libs.common.events import DeliveryReported, Fact, MessageEdited, TextPart
from libs.common.store.api import Page
from services.desk import inbox_feed, inbox_listener, inbox_stream, live_stream, together
from services.desk.filters import SessionFilter
from services.desk.inbox_listener import Listener
from services.desk.inbox_told import Point, Telling
from services.desk.scope import WHOLE
from tests.desk.world import NOW, World, open_world


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


class Console:
    """A console that keeps what it was told, as the protocol says."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last = ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.ended = False

    async def block(self) -> None:
        """Take one event in."""
        fields: dict[str, str] = {}
        while line := (await self.answer.content.readline()).decode():
            if line == "\n":
                break
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = value.strip()
        self.ended = not fields
        self.last = fields.get("id", self.last)
        if "event" in fields:
            data = msgspec.json.decode(fields["data"])
            self.events.append((fields["event"], data))
            self.merge(fields["event"], data)

    def merge(self, name: str, data: dict[str, Any]) -> None:
        """Keep of two states of a session the one with the higher `rev`."""
        if name not in {"session", "removed"}:
            return
        known = self.rows.get(data["id"])
        if known is None or known["rev"] <= data["rev"]:
            self.rows[data["id"]] = {**data, "removed": name == "removed"}

    def page(self, items: list[dict[str, Any]]) -> None:
        """Merge a page that was read."""
        for item in items:
            self.merge("session", item)

    @property
    def shown(self) -> dict[str, int]:
        """The sessions on the screen, and the state of each."""
        return {id_: row["rev"] for id_, row in self.rows.items() if not row["removed"]}

    async def until(self, done: Callable[[], Any], within_s: float = 30.0) -> None:
        """Read until *done*."""
        async with asyncio.timeout(within_s):
            while not done():
                await self.block()
                assert not self.ended, self.events

    async def event(self, name: str, within_s: float = 30.0) -> dict[str, Any]:
        """Return the first event of this name that was not taken yet."""
        await self.until(lambda: self.has(name), within_s)
        found = next(pair for pair in self.events if pair[0] == name)
        self.events.remove(found)
        return found[1]

    def has(self, name: str) -> bool:
        return any(event == name for event, _ in self.events)

    async def rest(self, for_s: float = 0.4) -> list[str]:
        """Return the names of what comes in so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                while not self.ended:
                    await self.block()
        return [name for name, _ in self.events]


@asynccontextmanager
async def console(
    world: World, who: str = "amy", query: str = "", last: str = "", base: str = ""
) -> AsyncIterator[Console]:
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    if last:
        headers["Last-Event-ID"] = last
    url = f"{base or world.base}/api/v1/inbox/stream{query}"
    async with world.http.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.read()
        assert answer.content_type == "text/event-stream"
        found = Console(answer)
        await found.event("ready")
        yield found


async def settled(world: World, who: str = "amy") -> None:
    """Wait until all that was said is told: asking what is unread does."""
    await world.get("/unread", who)


async def limit(world: World, name: str, **limits: Any) -> None:
    agent = await world.store.get(AGENTS, world.workspace, f"agt-{name}")
    assert agent is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(agent, **limits))


# --- what is told --------------------------------------------------------------------------------


async def test_a_message_is_told_as_the_row_the_entry_and_the_badge(world: World) -> None:
    async with console(world) as told:
        session = await world.writes("hello")
        row = await told.event("session")
        page = (await world.get("/sessions"))["items"]
        assert row == page[0]
        entry = await told.event("entry")
        timeline = (await world.get(f"/sessions/{session.id}/messages"))["items"]
        assert (entry["session"], entry["entry"]) == (session.id, timeline[0])
        await told.until(lambda: ("unread", badge(world, 1)) in told.events)
        await world.do("read", session.id)
        await told.until(lambda: told.rows[session.id]["unread"] == 0)
        assert (await told.event("read"))["up_to"] == 1
        await told.until(lambda: ("unread", {"total": 0, "accounts": {}}) in told.events)


def badge(world: World, number: int) -> dict[str, Any]:
    return {"total": number, "accounts": {world.slug("line"): number}}


async def test_each_agent_is_told_the_row_with_their_own_unread(world: World) -> None:
    async with console(world, "amy") as amy, console(world, "bob") as bob:
        session = await world.writes("hello")
        await world.do("read", session.id, "amy")
        await amy.until(lambda: amy.shown.get(session.id) and not amy.rows[session.id]["unread"])
        state = amy.rows[session.id]["rev"]
        await bob.until(lambda: bob.shown.get(session.id) == state)
        assert bob.rows[session.id]["unread"] == 1
        assert ("unread", badge(world, 1)) in bob.events


async def test_an_entry_that_changes_is_told_as_it_is_then(world: World) -> None:
    await world.writes("helo")
    async with console(world) as told:
        await world.happens(
            MessageEdited(
                event_id="x1",
                visitor="U1",
                occurred_at=NOW,
                target="m-U1-helo",
                version=2,
                parts=(TextPart(text="hello"),),
            )
        )
        entry = (await told.event("entry"))["entry"]
        assert entry["parts"][0]["text"] == "hello"


async def test_what_happens_to_a_session_is_told_as_its_lines(world: World) -> None:
    session = await world.writes("hello")
    async with console(world, query=f"?list=ended&open={session.id}") as told:
        await world.do("claim", session.id)
        await world.do("tags", session.id, body={"add": ["vip"]})
        await world.do("end", session.id, body={})
        timeline = (await world.get(f"/sessions/{session.id}/messages"))["items"]
        lines = [entry for entry in timeline if entry["kind"] == "system"]
        assert len(lines) > 1

        def entries() -> list[dict[str, Any]]:
            return [data["entry"] for name, data in told.events if name == "entry"]

        await told.until(lambda: all(line in entries() for line in lines))


async def test_what_the_visitor_has_read_is_told(world: World) -> None:
    session = await world.writes("hello")
    await world.send(session.id, "hi")
    async with console(world) as told:
        await world.happens(
            DeliveryReported(
                event_id="r1", visitor="U1", occurred_at=NOW, status="read", watermark=NOW
            )
        )
        receipts = await told.event("receipts")
        assert (receipts["session"], receipts["read_up_to"]) == (session.id, "2026-03-01T12:00:00Z")


async def test_a_session_that_leaves_the_filter_is_told_as_removed_and_others_never(
    world: World,
) -> None:
    session = await world.writes("hello")
    other = await world.writes("hi", visitor="U2", channel="web")
    async with console(world, query="?assignee=new&channel=line") as told:
        await world.writes("again", visitor="U2", channel="web")
        await world.do("claim", session.id, "bob")
        removed = await told.event("removed")
        if removed["id"] == other.id:  # it was not known before, so it is told once
            removed = await told.event("removed")
        assert removed["id"] == session.id
        await world.writes("and again", visitor="U2", channel="web")
        await settled(world)
        assert not {"entry", "session", "removed"} & set(await told.rest())


async def test_what_is_open_on_the_screen_is_told_whatever_the_filter(world: World) -> None:
    session = await world.writes("hello")
    async with console(world, query=f"?assignee=me&open={session.id}") as told:
        await world.writes("more")
        assert (await told.event("entry"))["entry"]["parts"][0]["text"] == "more"


# --- nothing is missed ---------------------------------------------------------------------------


async def test_a_console_that_opens_the_stream_then_reads_pages_and_merges_misses_nothing(
    world: World,
) -> None:
    """Sessions change all the while; in the end the screen shows what the store holds."""
    for n in range(6):
        await world.writes("hello", visitor=f"U{n}")

    async def change() -> None:
        for n in range(24):
            session = await world.writes(f"more {n}", visitor=f"U{n % 8}")
            if n % 3 == 0:
                await world.do("claim", session.id, "bob" if n % 2 else "amy")
            if n % 5 == 0:
                await world.do("end", session.id)

    changing = asyncio.create_task(change())
    await asyncio.sleep(0.02)
    async with console(world) as told:
        await read_all(world, told)
        await changing
        rows = await world.store.find(
            SESSIONS, world.workspace, {}, Page(order="updated", limit=100)
        )
        expected = {s.id: s.rev for s in rows if s.list != "ended"}
        assert expected
        # a session that only lost its outbox has a newer state which shows nothing new
        await told.until(lambda: set(told.shown) == set(expected))
        await told.rest()
        shown = {row["id"]: row for row in (await world.get("/sessions", limit=200))["items"]}
        assert set(told.shown) == set(shown)
        for id_, row in shown.items():
            assert {**told.rows[id_], "rev": 0, "removed": 0} == {**row, "rev": 0, "removed": 0}


async def read_all(world: World, told: Console) -> None:
    """Read page after page into the console."""
    cursor = ""
    while True:
        page = await world.get("/sessions", limit=2, cursor=cursor, counts="false")
        told.page(page["items"])
        if page["next"] is None:
            return
        cursor = page["next"]


@pytest.mark.parametrize("by", ["header", "parameter"])
async def test_who_comes_back_is_told_what_they_missed(world: World, by: str) -> None:
    async with console(world) as told:
        first = await world.writes("hello")
        await told.until(lambda: first.id in told.rows and told.last.isdigit())
        await settled(world)
        await told.rest()
    second = await world.writes("hi", visitor="U2")
    await world.writes("elsewhere", workspace=world.other)
    await world.do("end", first.id)
    how = {"last": told.last} if by == "header" else {"query": f"?after={told.last}"}
    async with console(world, **how) as back:
        await back.until(lambda: {first.id, second.id} <= set(back.rows))
        assert set(back.shown) == {second.id}
        assert not back.has("reset")
        await back.until(lambda: int(back.last or 0) > int(told.last))


async def test_who_comes_back_behind_what_is_kept_or_from_nowhere_is_told_to_read_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.writes("hello")
    async with console(world, last="999999999") as told:
        assert (await told.event("reset")) == {"reason": "gap"}
        session = await world.writes("hi", visitor="U2")
        await told.until(lambda: session.id in told.rows and told.last)  # it goes on from there
    monkeypatch.setattr(inbox_feed, "MISSED", 1)
    for n in range(3):
        await world.writes(f"more {n}")
    async with console(world, last=told.last) as told:
        assert (await told.event("reset")) == {"reason": "gap"}


async def test_who_does_not_take_what_is_told_is_dropped_and_nothing_is_told_beyond_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_listener, "AHEAD", 2)
    wanted = SessionFilter(me="agt-amy")
    listener = Listener(Point("acme", "agt-amy", WHOLE, wanted, frozenset()), 7)
    for rev in (1, 2, 3):  # of one thing the last word waits, and no older one replaces it
        listener.tell([Telling("s:1", rev, b"%d" % rev), Telling("s:2", 9 - rev, b".%d" % rev)])
    assert not listener.over
    assert listener.take() == b".13"
    listener.tell([Telling(f"s:{n}", 1, b"x") for n in range(3)])
    assert listener.over
    assert (listener.take(), listener.place) == (b"", 7)


async def test_a_heartbeat_says_the_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    async with console(world) as told:
        await told.event("beat")
        place = int(told.last)
        await world.writes("elsewhere", workspace=world.other)
        await told.until(lambda: int(told.last) > place)
        assert not told.has("session")


async def test_there_are_only_so_many_streams_of_one_agent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "EACH_AGENT", 1)
    async with console(world), console(world, "bob"):
        assert (await world.call("GET", "/inbox/stream", "amy")).status == 429


# --- who may see what ----------------------------------------------------------------------------

SCOPES: dict[str, dict[str, Any]] = {
    "one channel": {"channels": ("web",)},
    "its own teams": {"team_only": True, "teams": ("sales",)},
}


@pytest.mark.parametrize("limits", SCOPES.values(), ids=SCOPES)
async def test_what_is_out_of_scope_is_on_no_page_in_no_count_and_in_no_stream(
    world: World, limits: dict[str, Any]
) -> None:
    await limit(world, "amy", **limits)
    hidden = await world.writes("secret", visitor="U9")
    await world.outbox.flush()
    current = await world.session(hidden.id)
    await world.store.replace(SESSIONS, msgspec.structs.replace(current, team="care", tags=("x",)))
    seen = await world.writes("hello", channel="web")
    async with console(world, query=f"?open={hidden.id}") as told:
        await world.writes("secret too", visitor="U9")
        await world.do("claim", hidden.id, "bob")
        await world.writes("more", channel="web")
        await told.until(lambda: seen.id in told.rows)
        await settled(world)
        await told.rest()
        assert hidden.id not in str(told.events)
        assert set(told.rows) == {seen.id}
    start = await world.get("/inbox")
    assert hidden.id not in str(start)
    assert start["unread"] == {
        "total": 2,
        "accounts": {world.slug("web"): 2},
        "complete": True,
    }
    found = await world.get("/sessions")
    assert [row["id"] for row in found["items"]] == [seen.id]
    assert found["counts"]["accounts"] == {world.slug("web"): 1}
    assert found["counts"]["tags"] == {}
    for path in ("", "/messages"):
        assert (await world.call("GET", f"/sessions/{hidden.id}{path}", "amy")).status == 404
    if "channels" in limits:
        assert [one["channel"] for one in start["accounts"]] == ["web"]


async def test_a_session_that_is_given_to_another_team_leaves_the_page_of_who_saw_it(
    world: World,
) -> None:
    await limit(world, "amy", team_only=True, teams=("sales",))
    session = await world.writes("hello")
    async with console(world) as told:
        await world.writes("more")
        await told.until(lambda: session.id in told.shown)
        await world.outbox.flush()
        current = await world.session(session.id)
        given = msgspec.structs.replace(current, team="care", rev=current.rev)
        given = await world.store.replace(SESSIONS, given)
        fact = Fact(
            fact_id=f"{session.id}:{given.rev}:1",
            type="session.moved",
            workspace=world.workspace,
            session=session.id,
            at=NOW,
            team="care",
            previous_team="",
        )
        subject = f"ev.{world.workspace}.session.moved.{session.id}"
        await world.bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
        await told.until(lambda: told.rows[session.id]["removed"])


async def test_of_another_team_who_is_on_it_sees_it_and_who_was_taken_off_no_more(
    world: World,
) -> None:
    await limit(world, "amy", team_only=True, teams=())
    session = await world.writes("hello")
    await world.outbox.flush()
    current = await world.session(session.id)
    await world.store.replace(SESSIONS, msgspec.structs.replace(current, team="care"))
    body = {"assignees": ["agt-amy", "agt-bob"]}
    async with console(world) as told:
        done = await world.do("assignees", session.id, "lena", body)
        assert done.status == 200, done.body
        await told.until(lambda: session.id in told.shown)
        await world.do("assignees", session.id, "lena", {"assignees": ["agt-bob"]})
        await told.until(lambda: told.rows[session.id]["removed"])


async def test_who_sees_something_else_from_now_on_is_told_to_read_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(together, "WAIT_S", 0.05)
    async with console(world) as told:
        await limit(world, "amy", channels=("web",))
        assert (await told.event("reset")) == {"reason": "access"}
        await told.block()
        assert told.ended


async def test_who_sees_less_is_told_nothing_more_a_second_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inbox_stream.LOOK_S == 1
    monkeypatch.setattr(inbox_stream, "LOOK_S", 0.1)
    async with console(world) as told:
        await limit(world, "amy", channels=("web",))
        await asyncio.sleep(0.1)
        await world.writes("a secret")
        assert (await told.event("reset")) == {"reason": "access"}
        assert await told.rest() == ["unread"]


async def test_another_workspace_hears_nothing(world: World) -> None:
    async with console(world, "zoe") as told:
        await world.writes("hello")
        await settled(world)
        assert set(await told.rest()) <= {"unread"}

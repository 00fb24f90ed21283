"""Streams of alerts: who is told of what, at once, once, and never over the wall."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common import subjects
from libs.common.bus.delivery import KvEntry, StoredMessage
from libs.common.documents import AGENTS, SESSIONS, TOKENS, Settings
from libs.common.errors import StoreUnavailableError
from libs.common.events import Fact
from libs.common.policy import Calendar, Member, Policy, Span, Team
from libs.common.store.api import Page as StorePage
from libs.common.subjects import POLICY_KV
from services.desk import live_feed, live_stream
from services.desk.live_alerts import Alert, trigger_of
from services.desk.live_feed import AHEAD, Listener, Told
from services.desk.live_hours import Hours
from tests.desk.listening import fact_of, happens, listening, second_desk
from tests.desk.world import World, serving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fact(**more: Any) -> Fact:
    given = {"fact_id": "f", "workspace": "w", "session": "s", "at": NOW, **more}
    return Fact(**given)


WHO: dict[str, tuple[Fact, str | None]] = {
    "a request for a human concerns everybody": (fact(type="session.handoff"), "handoff.requested"),
    "a request that names agents concerns them": (
        fact(type="session.handoff", notify=("amy", "bob")),
        "handoff.requested",
    ),
    "and nobody else": (fact(type="session.handoff", notify=("bob",)), None),
    "who is assigned by another is told": (
        fact(type="session.assigned", actor="agent:bob", assignees=("amy",), joined=("amy",)),
        "assigned.to_me",
    ),
    "who is assigned by a rule is told": (
        fact(type="session.assigned", actor="system:rules", joined=("amy",)),
        "assigned.to_me",
    ),
    "who takes it knows it": (
        fact(type="session.assigned", actor="agent:amy", joined=("amy",)),
        None,
    ),
    "who had it before is told nothing": (
        fact(type="session.assigned", assignees=("amy", "bob"), joined=("bob",)),
        None,
    ),
    "a notice concerns whom it names": (fact(type="session.notice", notify=("amy",)), "notice"),
    "a notice that names nobody concerns nobody": (fact(type="session.notice"), None),
    "an end alerts nobody": (fact(type="session.ended", notify=("amy",)), None),
    "a message alerts nobody yet": (fact(type="message.stored", notify=("amy",)), None),
}


@pytest.mark.parametrize(("given", "trigger"), WHO.values(), ids=WHO)
def test_whom_a_fact_concerns(given: Fact, trigger: str | None) -> None:
    assert trigger_of(given, "amy") == trigger


async def test_a17_a_request_for_a_human_is_one_alert_with_a_deep_link_within_a_second(
    world: World,
) -> None:
    session = await world.writes("I want a human")
    async with listening(world, "amy") as amy:
        started = time.perf_counter()
        told = await happens(world, "session.handoff", session.id, because="visitor_asked")
        alert = await amy.alert(1.0)
        assert time.perf_counter() - started < 1.0
        assert alert == {
            "id": told.fact_id,
            "trigger": "handoff.requested",
            "session": session.id,
            "list": "unassigned",
            "channel": "line",
            "account": world.slug("line"),
            "contact_name": "Visitor U1",
            "excerpt": "I want a human",
            "url": f"/#/sessions/{session.id}",
            "at": msgspec.json.decode(msgspec.json.encode(told.at)),
            "because": "visitor_asked",
        }
        # the next thing to be told is the next that happens: it was one alert
        notice = await happens(world, "session.notice", notify=("agt-amy",))
        assert (await amy.alert())["id"] == notice.fact_id


async def test_b13_whom_a_session_is_assigned_to_is_notified_and_others_are_not(
    world: World,
) -> None:
    session = await world.writes("hello")
    async with (
        listening(world, "amy") as amy,
        listening(world, "bob") as bob,
        listening(world, "lena") as lena,
    ):
        body = {"assignees": ["agt-amy"]}
        assert (await world.do("assignees", session.id, "lena", body)).status == 200
        alert = await amy.alert(1.0)
        assert (alert["trigger"], alert["list"]) == ("assigned.to_me", "assigned")
        assert alert["url"] == f"/#/sessions/{session.id}"
        body = {"assignees": ["agt-amy", "agt-bob"]}
        assert (await world.do("assignees", session.id, "lena", body)).status == 200
        alert = await bob.alert(1.0)
        assert (alert["trigger"], alert["session"]) == ("assigned.to_me", session.id)
        everybody = await happens(world, "session.handoff")
        for page in (amy, bob, lena):
            assert (await page.alert())["id"] == everybody.fact_id


async def test_who_takes_a_session_is_not_alerted_of_it(world: World) -> None:
    session = await world.writes("hello")
    async with listening(world, "amy") as amy:
        assert (await world.do("claim", session.id, "amy")).status == 200
        later = await happens(world, "session.handoff")
        assert (await amy.alert())["id"] == later.fact_id


async def test_nothing_passes_the_wall_between_tenants(world: World) -> None:
    async with listening(world, "zoe") as zoe, listening(world, "amy") as amy:
        ours = await happens(world, "session.handoff")
        forged = fact_of(world, "session.handoff", workspace=world.other)
        subject = subjects.fact(world.workspace, "session.handoff", "ses-1")
        await world.bus.publish(subject, msgspec.json.encode(forged), msg_id=forged.fact_id)
        theirs = await happens(world, "session.handoff", workspace=world.other)
        assert (await zoe.alert())["id"] == theirs.fact_id
        assert (await amy.alert())["id"] == ours.fact_id
        last = await happens(world, "session.handoff")
        assert (await amy.alert())["id"] == last.fact_id
    async with listening(world, "zoe", last="1") as zoe:  # what was stored is behind it, too
        assert (await zoe.alert())["id"] == theirs.fact_id


async def test_a_stream_that_is_cut_resumes_without_loss_and_without_a_double(
    world: World,
) -> None:
    chance = random.Random(7)  # noqa: S311
    published: list[str] = []

    async def publish() -> None:
        for number in range(120):
            agent = "agt-amy" if number % 3 else "agt-bob"
            made = await happens(world, "session.notice", f"ses-{number}", notify=(agent,))
            published.extend([made.fact_id] * (agent == "agt-amy"))
            await asyncio.sleep(chance.random() / 100)

    seen: list[str] = []
    expected = 80
    async with second_desk(world) as (_, base):
        async with listening(world, "amy") as page:
            last = page.last
        publishing = asyncio.create_task(publish())
        while len(seen) < expected:
            where = chance.choice(("", base))
            async with listening(world, "amy", base=where, last=last) as page:
                for _ in range(chance.randrange(8)):
                    if len(seen) == expected:
                        break
                    seen.append((await page.alert())["id"])
                last = page.last
        await publishing
    assert seen == published


async def test_it_resumes_after_nothing_was_told_and_over_many_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "PAGE", 4)
    async with listening(world, "amy") as page:
        last = page.last
    published = [await happens(world, "session.handoff", f"s{n}") for n in range(12)]
    async with listening(world, "amy", last=last) as page:
        seen = [(await page.alert())["id"] for _ in published]
    assert seen == [one.fact_id for one in published]


async def test_a_page_without_a_place_hears_only_what_comes(world: World) -> None:
    await happens(world, "session.handoff")
    for last in ("", "abc", "-1", "9" * 18, "9" * 30):  # or with one of a stream that is no more
        async with listening(world, "amy", last=last) as page:
            later = await happens(world, "session.handoff")
            assert (await page.alert())["id"] == later.fact_id


async def test_two_streams_of_one_agent_on_two_desks_are_both_told(world: World) -> None:
    async with (
        second_desk(world) as (_, base),
        listening(world, "amy") as here,
        listening(world, "amy", base=base) as there,
    ):
        told = await happens(world, "session.handoff")
        for page in (here, there):
            assert (await page.alert())["id"] == told.fact_id


async def revoke(world: World) -> None:
    page = StorePage(order="agent", limit=10)
    for token in await world.store.find(TOKENS, world.workspace, {"agent": "agt-amy"}, page):
        await world.store.delete(TOKENS, world.workspace, token.id)


async def expire(world: World) -> None:
    page = StorePage(order="agent", limit=10)
    for token in await world.store.find(TOKENS, world.workspace, {"agent": "agt-amy"}, page):
        past = datetime.now(UTC) - timedelta(seconds=1)
        await world.store.replace(TOKENS, msgspec.structs.replace(token, expires_at=past))


async def disable(world: World) -> None:
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(amy, disabled=True))


ENDS: dict[str, Callable[[World], Any]] = {
    "a revoked token": revoke,
    "an expired token": expire,
    "a disabled agent": disable,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_who_may_no_longer_read_is_cut_off_at_the_next_heartbeat(
    world: World, monkeypatch: pytest.MonkeyPatch, end: Callable[[World], Any]
) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.3)
    async with listening(world, "amy") as amy, listening(world, "bob") as bob:
        assert "" in await amy.block()  # a comment: it lives
        await end(world)
        assert await amy.ended(2.0)
        told = await happens(world, "session.handoff")
        assert (await bob.alert())["id"] == told.fact_id
    answer = await world.call("GET", "/alerts/stream", "amy")
    assert answer.status == 401


async def test_a_heartbeat_moves_the_place_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    async with listening(world, "amy") as amy:
        before = int(amy.last)
        await happens(world, "session.notice", notify=("agt-bob",))
        async with asyncio.timeout(5):
            while int(amy.last) == before:
                await amy.block()
        last = amy.last
    told = await happens(world, "session.handoff")
    async with listening(world, "amy", last=last) as amy:
        assert (await amy.alert())["id"] == told.fact_id


CLOSED = Calendar(  # but for one minute, in which no test happens
    id="closed", zone="UTC", spans=(Span(days=(0,), opens="00:00", closes="00:01"),)
)
ALWAYS = Calendar(
    id="always", zone="UTC", spans=(Span(days=tuple(range(7)), opens="00:00", closes="24:00"),)
)
MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NIGHT = Policy(
    settings=Settings(calendar="closed"),
    members=(
        Member(id="agt-amy"),
        Member(id="agt-bob", teams=("sales",)),
        Member(id="agt-lena", teams=("sales", "care")),
    ),
    teams=(Team(id="sales"), Team(id="care", calendar="always")),
    calendars=(CLOSED, ALWAYS),
)
"""The workspace and sales are closed, care is open."""

TOLD_AT_NIGHT: dict[str, tuple[str, set[str]]] = {
    "no team is asked for: whoever has a team that is open": ("", {"lena"}),
    "an open team is asked for": ("care", {"amy", "bob", "lena"}),
    "a closed team is asked for": ("sales", set()),
    "a team that is no more has the hours of the workspace": ("gone", set()),
}


@pytest.mark.parametrize(("team", "told"), TOLD_AT_NIGHT.values(), ids=TOLD_AT_NIGHT)
def test_d16_whose_hours_hold(team: str, told: set[str]) -> None:
    hours = Hours()
    hours.put(KvEntry(key="w", value=msgspec.json.encode(NIGHT), revision=1))
    agents = ("amy", "bob", "lena")
    assert {one for one in agents if hours.hold("w", f"agt-{one}", team, MONDAY_NOON)} == told
    assert hours.hold("w", "agt-zoe", team, MONDAY_NOON)  # nothing is known of them
    assert hours.hold("v", "agt-amy", team, MONDAY_NOON)
    hours.put(KvEntry(key="w", value=b"{", revision=2))
    assert hours.hold("w", "agt-amy", team, MONDAY_NOON) == ("amy" in told)
    hours.put(KvEntry(key="w", value=None, revision=3))
    assert hours.hold("w", "agt-amy", team, MONDAY_NOON)


async def test_d16_who_is_out_of_hours_is_told_only_of_what_names_them(world: World) -> None:
    session = await world.writes("human")
    async with listening(world, "lena") as page:
        last = page.last
    value = msgspec.json.encode(NIGHT)
    await world.bus.kv_put(POLICY_KV, world.workspace, value)
    hours = world.desk.live.streams._feed._hours
    async with asyncio.timeout(5):
        while hours.hold(world.workspace, "agt-amy", "", MONDAY_NOON):  # noqa: ASYNC110 (a watch)
            await asyncio.sleep(0.01)
    async with listening(world, "amy") as amy, listening(world, "lena") as lena:
        to_all = await happens(world, "session.handoff", session.id, at=MONDAY_NOON)
        assert (await lena.alert())["id"] == to_all.fact_id
        named = await happens(world, "session.handoff", at=MONDAY_NOON, notify=("agt-amy",))
        assert (await amy.alert())["id"] == named.fact_id
        noted = await happens(world, "session.notice", at=MONDAY_NOON, notify=("agt-amy",))
        assert (await amy.alert())["id"] == noted.fact_id
        given = await happens(world, "session.assigned", at=MONDAY_NOON, joined=("agt-amy",))
        assert (await amy.alert())["id"] == given.fact_id
    async with listening(world, "lena", last=last) as lena:  # what was missed, likewise
        assert (await lena.alert())["id"] == to_all.fact_id
    async with listening(world, "amy", last=last) as amy:
        assert (await amy.alert())["id"] == named.fact_id


class AwayStore:
    """Does not answer."""

    async def get_many(self, *_args: object) -> dict[str, object]:
        raise StoreUnavailableError("away")


async def test_an_alert_does_not_wait_for_a_store_that_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await world.writes("hello")
    assert await world.store.get(SESSIONS, world.workspace, session.id)
    async with listening(world, "amy") as amy:
        monkeypatch.setattr(world.desk.live.streams._feed, "_store", AwayStore())
        told = await happens(world, "session.handoff", session.id)
        alert = await amy.alert(1.0)
    assert (alert["id"], alert["session"]) == (told.fact_id, session.id)
    assert (alert["contact_name"], alert["excerpt"]) == ("", "")


class SlowStore:
    """Answers when nobody waits any more."""

    def __init__(self) -> None:
        self.asked = 0

    async def get_many(self, *_args: object) -> dict[str, object]:
        self.asked += 1
        await asyncio.sleep(30)
        raise AssertionError


async def test_a_slow_store_holds_up_one_alert_and_then_none_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "DETAILS_WITHIN_S", 0.2)
    monkeypatch.setattr(live_feed, "DETAILS_AGAIN_S", 0.8)
    session = await world.writes("hello")
    slow = SlowStore()
    feed = world.desk.live.streams._feed
    async with listening(world, "amy") as amy:
        monkeypatch.setattr(feed, "_store", slow)
        told = [await happens(world, "session.handoff", session.id) for _ in range(20)]
        started = time.perf_counter()
        assert [(await amy.alert())["id"] for _ in told] == [one.fact_id for one in told]
        assert time.perf_counter() - started < 0.8
        assert slow.asked == 1
        monkeypatch.setattr(feed, "_store", world.store)
        await asyncio.sleep(0.8)
        await happens(world, "session.handoff", session.id)
        assert (await amy.alert())["excerpt"] == "hello"


class BrokenStore:
    """Has a bug."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def get_many(self, *_args: object) -> dict[str, object]:
        self.asked.set()
        raise RuntimeError("a bug")


async def test_a_fact_that_cannot_be_told_ends_nobodys_alerts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, broken = world.desk.live.streams._feed, BrokenStore()
    async with listening(world, "amy") as amy:
        monkeypatch.setattr(feed, "_store", broken)
        await happens(world, "session.handoff")
        await asyncio.wait_for(broken.asked.wait(), 5)
        monkeypatch.setattr(feed, "_store", world.store)
        told = await happens(world, "session.handoff")
        assert (await amy.alert())["id"] == told.fact_id


async def test_a_reader_that_breaks_begins_again_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "AGAIN_S", 0.05)
    broken: list[int] = []

    def breaks(message: StoredMessage) -> str:
        if not broken:
            broken.append(message.sequence)
            raise RuntimeError("a bug")
        return message.subject.split(".", 2)[1]

    async with listening(world, "amy") as amy:
        monkeypatch.setattr(live_feed, "_workspace_of", breaks)
        told = [await happens(world, "session.handoff") for _ in range(3)]
        assert [(await amy.alert())["id"] for _ in told] == [one.fact_id for one in told]
        assert len(broken) == 1


async def test_who_takes_nothing_is_dropped_with_what_it_was_told_and_told_no_more() -> None:
    listener = Listener("w", "amy", 0)
    alert = Alert(id="a", trigger="notice", session="s", list="", url="", at=NOW)
    for place in range(1, AHEAD + 50):
        listener.tell(Told(place, alert))
    taken = [told.place for _ in range(AHEAD) if (told := await listener.next(0)) is not None]
    assert taken == list(range(1, AHEAD + 1))
    assert await listener.next(5.0) is None
    assert listener.over


async def test_streams_of_an_agent_are_limited_and_freed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "EACH_AGENT", 1)
    async with listening(world, "amy"), listening(world, "bob"):
        refused = await world.call("GET", "/alerts/stream", "amy")
        assert (refused.status, refused.json["code"]) == (429, "too_many_streams")
        assert refused.headers["Retry-After"] == "30"
    for _ in range(30):
        if not REGISTRY.get_sample_value("relaydesk_desk_alert_streams"):
            break
        await asyncio.sleep(0.1)
    async with listening(world, "amy"):
        assert REGISTRY.get_sample_value("relaydesk_desk_alert_streams") == 1


async def test_open_streams_do_not_hold_up_the_end_of_a_desk(world: World) -> None:
    async with second_desk(world) as (desk, _):
        server = serving(desk)
        port = await server.__aenter__()
        async with listening(world, "amy", base=f"http://127.0.0.1:{port}") as page:
            started = time.perf_counter()
            await server.__aexit__(None, None, None)
            assert time.perf_counter() - started < 3.0
            assert await page.ended(1.0)

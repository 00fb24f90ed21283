"""Streams of alerts: who is told of what, at once, once, and never over the wall."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.alerts import Alert
from libs.common.bus.delivery import StoredMessage
from libs.common.documents import AGENTS, TOKENS, Agent
from libs.common.store.api import Collection, Store
from libs.common.store.api import Page as StorePage
from services.desk import live_feed, live_stream, together
from services.desk.api import alerts as alerts_api
from services.desk.live_alerts import Missed, Told
from services.desk.live_feed import AHEAD, Listener
from services.desk.presence import Who
from tests.desk.listening import Page, alert_of, listening, publish, raised, second_desk, then
from tests.desk.world import World, open_world, serving


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- what was missed, pure -----------------------------------------------------------------------


def said(word: str) -> Alert:
    """Return an alert as `<id>+`, `<id>=`, `<id>-`: raised, updated, cleared; `<id>^` a rung."""
    kinds = {"+": "raised", "=": "updated", "-": "cleared", "^": "raised", "~": "raised"}
    age = timedelta(hours=1) if word[1] == "~" else timedelta()
    return Alert(
        id=word[0],
        kind=kinds[word[1]],  # type: ignore[arg-type]
        workspace="w",
        agent="amy",
        trigger="notice",
        at=NOW - age,
        expires_at=NOW - age + timedelta(minutes=15),
        rung=word[1] == "^",
        sound=None if kinds[word[1]] == "updated" else "bell",
    )


MISSED: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", []),
    "raised": ("a+ b+", ["a raised 1", "b raised 2"]),
    "raised and cleared: never seen": ("a+ b+ a-", ["b raised 2"]),
    "seen before, and cleared": ("a-", ["a cleared 1"]),
    "seen before, changed, and cleared": ("a= a= a-", ["a cleared 3"]),
    "seen before, and changed": ("a= b+ a=", ["a updated 1", "b raised 3"]),
    "raised and changed is raised: it makes a sound": ("a+ a= a=", ["a raised 3"]),
    "seen before, and raised by a rung": ("a^", ["a raised 1"]),
    "raised by a rung and changed is raised, too": ("a^ a=", ["a raised 2"]),
    "seen before, raised by a rung, and cleared": ("a^ a-", ["a cleared 2"]),
    "raised, and again by a rung, and cleared: never seen": ("a+ a^ a-", []),
    "expired": ("a~ b+", ["b raised 2"]),
    "expired and cleared: never seen": ("a~ b+ a-", ["b raised 2"]),
    "expired, and raised anew": ("a~ a+", ["a raised 2"]),
    "who is cut behind the first is told the second": (
        "a+ b+ a= c+ b=",
        ["a raised 1", "b raised 3", "c raised 5"],
    ),
}


@pytest.mark.parametrize(("words", "expected"), MISSED.values(), ids=MISSED)
def test_d09_who_comes_back_is_told_what_still_counts(words: str, expected: list[str]) -> None:
    missed = Missed(NOW)
    for place, word in enumerate(words.split(), 1):
        missed.add(place, said(word))
    told = [(msgspec.json.decode(one.data), one.place) for one in missed.told()]
    assert [f"{alert['id']} {alert['kind']} {place}" for alert, place in told] == expected
    assert all(alert["sound"] for alert, _ in told if alert["kind"] == "raised")


@pytest.mark.parametrize("seed", range(30))
def test_d09_whoever_is_cut_anywhere_ends_up_seeing_what_counts(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    words: list[str] = []
    open_: set[str] = set()
    for _ in range(40):
        id_ = chance.choice("abcde")
        kind = chance.choice("==-^") if id_ in open_ else "+"
        words.append(id_ + kind)
        (open_.discard if kind == "-" else open_.add)(id_)
        if kind == "-":  # an id is of one burst
            words = [w if w[0] != id_ else id_.upper() + w[1] for w in words]
    seen: set[str] = set()
    sounded: set[str] = set()
    behind = 0
    while behind < len(words):
        missed = Missed(NOW)
        for place, word in enumerate(words, 1):
            if place > behind:
                missed.add(place, said(word))
        told = list(missed.told())
        cut = chance.randrange(1, len(told) + 1) if told else 0
        for one in told[:cut]:
            alert = msgspec.json.decode(one.data)
            (seen.discard if alert["kind"] == "cleared" else seen.add)(alert["id"])
            sounded |= {alert["id"]} & (seen if alert["kind"] == "raised" else set())
            assert one.place >= behind
            behind = one.place
        if cut == len(told):
            break
    assert seen == open_ == sounded


# --- what is told as it happens ------------------------------------------------------------------


async def test_a17_a19_an_alert_is_told_whole_with_a_deep_link_within_a_second(
    world: World,
) -> None:
    alert = alert_of(
        world,
        "amy",
        "ses-7",
        trigger="bot_hosted.message",
        list="bot_hosted",
        channel="line",
        account="shop",
        contact_name="Visitor U1",
        excerpt="I want a human",
        count=3,
        sound="bell",
        volume=70,
    )
    async with listening(world, "amy") as amy:
        await publish(world, alert)
        told = await amy.alert()
        stamps = {"at": alert.at, "since": alert.at, "expires_at": alert.expires_at}
        times = msgspec.to_builtins(stamps)
        assert told == {
            "id": alert.id,
            "kind": "raised",
            "trigger": "bot_hosted.message",
            "session": "ses-7",
            "list": "bot_hosted",
            "channel": "line",
            "account": "shop",
            "contact_name": "Visitor U1",
            "excerpt": "I want a human",
            "url": "/#/sessions/ses-7",
            "count": 3,
            "counts": {},
            "summary": False,
            "rung": 0,
            "sound": "bell",
            "volume": 70,
            "because": "",
            **times,
        }


async def test_a18_an_alert_without_a_sound_says_so(world: World) -> None:
    async with listening(world, "amy") as amy:
        await raised(world, sound=None)
        alert = await amy.alert()
        assert "sound" in alert
        assert alert["sound"] is None


async def test_a16_each_agent_is_told_exactly_their_own(world: World) -> None:
    async with listening(world, "amy") as amy, listening(world, "bob") as bob:
        for page, name in ((amy, "amy"), (bob, "bob")):
            mine = [await raised(world, name, f"s{n}") for n in range(3)]
            assert [(await page.alert())["id"] for _ in mine] == [one.id for one in mine]
        await raised(world, "bob")
        last = await raised(world, "amy")
        assert (await amy.alert())["id"] == last.id  # and nothing of bob's before it


async def test_d09_what_has_changed_and_what_is_over_is_told_under_the_same_id(
    world: World,
) -> None:
    async with listening(world, "amy") as amy:
        first = await raised(world)
        second = await then(world, first, "updated", count=30)
        await then(world, second, "cleared", because="claimed")
        told = [await amy.alert() for _ in range(3)]
    assert [(a["id"], a["kind"], a["count"], a["because"]) for a in told] == [
        (first.id, "raised", 1, ""),
        (first.id, "updated", 30, ""),
        (first.id, "cleared", 30, "claimed"),
    ]


async def test_nothing_passes_the_wall_between_tenants(world: World) -> None:
    async with listening(world, "zoe") as zoe, listening(world, "amy") as amy:
        ours = await raised(world, "amy")
        forged = alert_of(world, "zoe", workspace=world.other)
        await publish(world, forged, workspace=world.workspace, agent="agt-amy")
        await publish(world, ours, agent="agt-zoe", workspace=world.other)
        theirs = await raised(world, "zoe", workspace=world.other)
        assert (await zoe.alert())["id"] == theirs.id
        assert (await amy.alert())["id"] == ours.id
        last = await raised(world, "amy")
        assert (await amy.alert())["id"] == last.id
    async with listening(world, "zoe", last="1") as zoe:  # what was stored is behind it, too
        assert (await zoe.alert())["id"] == theirs.id


async def test_an_alert_of_a_newer_version_is_left_out_and_ends_nobodys_stream(
    world: World,
) -> None:
    async with listening(world, "amy") as amy:
        subject = f"alert.browser.{world.workspace}.agt-amy"
        await world.bus.publish(subject, b'{"id": 1}', msg_id="")
        told = await raised(world)
        assert (await amy.alert())["id"] == told.id


async def test_a_stream_that_is_cut_resumes_without_loss_and_without_a_double(
    world: World,
) -> None:
    chance = random.Random(7)  # noqa: S311
    published: list[str] = []

    async def go_on() -> None:
        for number in range(120):
            name = "amy" if number % 3 else "bob"
            made = await raised(world, name, f"ses-{number}")
            published.extend([made.id] * (name == "amy"))
            await asyncio.sleep(chance.random() / 100)

    seen: list[str] = []
    expected = 80
    async with second_desk(world) as (_, base):
        async with listening(world, "amy") as page:
            last = page.last
        publishing = asyncio.create_task(go_on())
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
    published = [await raised(world, "amy", f"s{n}") for n in range(12)]
    async with listening(world, "amy", last=last) as page:
        seen = [(await page.alert())["id"] for _ in published]
    assert seen == [one.id for one in published]


async def test_d09_a_page_that_comes_back_can_take_away_what_is_over(world: World) -> None:
    async with listening(world, "amy") as page:
        seen = await raised(world, "amy", "seen")
        assert (await page.alert())["id"] == seen.id
        last = page.last
    over = await raised(world, "amy", "over")
    await then(world, over, "cleared", because="ended")
    await raised(world, "amy", "old", at=datetime.now(UTC) - timedelta(hours=1))
    await then(world, seen, "cleared", because="claimed")
    fresh = await raised(world, "amy", "fresh")
    async with listening(world, "amy", last=last) as page:
        told = [await page.alert() for _ in range(2)]
        later = await raised(world, "amy", "later")
        told.append(await page.alert())
    assert [(alert["session"], alert["kind"]) for alert in told] == [
        ("seen", "cleared"),
        ("fresh", "raised"),
        ("later", "raised"),
    ]
    assert {fresh.id, later.id} < {alert["id"] for alert in told}


async def test_a18_who_comes_back_muted_hears_no_sound_of_what_was_missed(world: World) -> None:
    async with listening(world, "amy") as page:
        last = page.last
    await raised(world, "amy", "missed", sound="chime")
    for method, sound in (("POST", None), ("DELETE", "chime")):
        assert (await world.call(method, "/alerts/mute", "amy")).status == 200
        async with listening(world, "amy", last=last) as page:
            assert (await page.alert())["sound"] == sound


async def test_a_page_without_a_place_hears_only_what_comes(world: World) -> None:
    await raised(world)
    for last in ("", "abc", "-1", "9" * 18, "9" * 30):  # or with one of a stream that is no more
        async with listening(world, "amy", last=last) as page:
            later = await raised(world)
            assert (await page.alert())["id"] == later.id


async def test_two_streams_of_one_agent_on_two_desks_are_both_told(world: World) -> None:
    async with (
        second_desk(world) as (_, base),
        listening(world, "amy") as here,
        listening(world, "amy", base=base) as there,
    ):
        told = await raised(world)
        for page in (here, there):
            assert (await page.alert())["id"] == told.id


# --- heartbeats ----------------------------------------------------------------------------------


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
    monkeypatch.setattr(together, "WAIT_S", 0.1)
    async with listening(world, "amy") as amy, listening(world, "bob") as bob:
        await amy.event("presence")  # it lives
        await amy.event("presence")
        await end(world)
        assert await amy.ended()
        told = await raised(world, "bob")
        assert (await bob.alert())["id"] == told.id
    answer = await world.call("GET", "/alerts/stream", "amy")
    assert answer.status == 401


async def test_a_store_that_does_not_answer_holds_no_alert_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def silent(*_: Any) -> bool:
        asked.set()
        await asyncio.sleep(60)
        return True

    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(alerts_api, "still_good", silent)
    async with listening(world, "amy") as amy:
        await asyncio.wait_for(asked.wait(), 30)
        told = await raised(world)
        assert (await amy.alert())["id"] == told.id
        await amy.event("presence")


async def test_credentials_that_are_looked_at_together_are_one_query_of_a_workspace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "WAIT_S", 0.1)
    queries: list[tuple[str, str, int]] = []

    class Counted:
        async def get_many(
            self, collection: Collection[Agent], workspace: str, ids: Sequence[str]
        ) -> dict[str, Agent]:
            queries.append((collection.name, workspace, len(ids)))
            return await world.desk.store.port.get_many(collection, workspace, ids)

    reading = together.Together(cast("Store", Counted()))
    asked = (*["agt-amy"] * 2, "agt-bob", "agt-nobody")
    found = await asyncio.gather(*(reading.get(AGENTS, world.workspace, one) for one in asked))
    assert [one and one.name for one in found] == ["Amy", "Amy", "Bob", None]
    assert queries == [(AGENTS.name, world.workspace, 3)]


async def test_a_heartbeat_moves_the_place_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    async with listening(world, "amy") as amy:
        before = int(amy.last)
        await raised(world, "bob")
        async with asyncio.timeout(30):
            while int(amy.last) == before:
                await amy.block()
        last = amy.last
    told = await raised(world)
    async with listening(world, "amy", last=last) as amy:
        assert (await amy.alert())["id"] == told.id


async def test_heartbeats_carry_presence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(live_stream, "COUNT_EVERY_S", 0.0)

    async def until(page: Page, expected: dict[str, Any]) -> None:
        async with asyncio.timeout(30):
            while await page.event("presence") != expected:
                pass

    async with listening(world, "amy") as amy:
        await until(amy, {"state": "online", "online": 1, "away": 0})
        async with listening(world, "bob") as bob, listening(world, "rita") as rita:
            body = {"state": "away"}
            assert (await world.call("PUT", "/presence", "bob", body=body)).status == 200
            await until(bob, {"state": "away", "online": 1, "away": 1})
            await until(amy, {"state": "online", "online": 1, "away": 1})
            await until(rita, {"state": "offline", "online": 1, "away": 1})  # who only looks
            async with listening(world, "zoe") as zoe:
                await until(zoe, {"state": "online", "online": 1, "away": 0})


# --- readers who take nothing, and many of them --------------------------------------------------


async def test_what_expires_while_a_reader_takes_nothing_is_not_told_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = REGISTRY.get_sample_value("relaydesk_desk_alerts_stale_total") or 0
    feed = world.desk.live.streams._feed
    async with listening(world, "amy") as amy:
        with monkeypatch.context() as later:
            later.setattr(feed, "now", lambda: datetime.now(UTC) + timedelta(hours=1))
            seen = await raised(world, "amy", "stale")
            await then(world, seen, "cleared")  # it is gone, whenever one looks
            assert (await amy.alert())["kind"] == "cleared"
        fresh = await raised(world)
        assert (await amy.alert())["id"] == fresh.id
    assert REGISTRY.get_sample_value("relaydesk_desk_alerts_stale_total") == before + 1


async def test_a_reader_that_breaks_begins_again_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "AGAIN_S", 0.05)
    broken: list[int] = []

    def breaks(message: StoredMessage) -> Who:
        if not broken:
            broken.append(message.sequence)
            raise RuntimeError("a bug")
        return Who(*message.subject.split(".")[2:])

    async with listening(world, "amy") as amy:
        monkeypatch.setattr(live_feed, "_who_of", breaks)
        told = [await raised(world) for _ in range(3)]
        assert [(await amy.alert())["id"] for _ in told] == [one.id for one in told]
        assert len(broken) == 1


async def test_who_takes_nothing_is_dropped_with_what_it_was_told_and_told_no_more() -> None:
    listener = Listener(Who("w", "amy"), 0)
    for place in range(1, AHEAD + 50):
        listener.tell(Told(place, "notice", None, b"{}"))
    taken = [told.place for _ in range(AHEAD) if (told := await listener.next(0)) is not None]
    assert taken == list(range(1, AHEAD + 1))
    assert await listener.next(5.0) is None
    assert listener.over


async def test_a_reader_who_takes_nothing_is_cut_off_and_another_is_told_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "WRITE_WITHIN_S", 0.4)

    def slow() -> float:
        name = "relaydesk_desk_alert_streams_ended_total"
        return REGISTRY.get_sample_value(name, {"reason": "slow"}) or 0

    before = slow()
    idle = socket.socket()
    idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    idle.connect(("127.0.0.1", world.port))
    head = f"Host: x\r\nAuthorization: Bearer {world.tokens['amy']}\r\n\r\n"
    idle.sendall(f"GET /api/v1/alerts/stream HTTP/1.1\r\n{head}".encode())
    async with listening(world, "amy") as amy:
        for _ in range(100):
            told = await raised(world, excerpt="x" * 8000)
            assert (await amy.alert())["id"] == told.id
        async with asyncio.timeout(30):
            while slow() == before:  # noqa: ASYNC110 (a counter)
                await asyncio.sleep(0.05)
    idle.close()


async def test_streams_of_an_agent_are_limited_and_freed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "EACH_AGENT", 1)
    async with listening(world, "amy"), listening(world, "bob"):
        refused = await world.call("GET", "/alerts/stream", "amy")
        assert (refused.status, refused.json["code"]) == (429, "too_many_streams")
        assert refused.headers["Retry-After"] == "30"
    for _ in range(300):
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
            assert time.perf_counter() - started < 20
            assert await page.ended()

"""What a console begins with: B01, B07, B20, B21."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.documents import SESSIONS, Session
from libs.common.health import Seen
from libs.common.subjects import HEALTH_KV
from services.desk.inbox_tally import Tally
from services.desk.scope import WHOLE, Scope
from tests.desk.test_filters import ME, SCOPES, fixtures, seen
from tests.desk.world import CONNECTED, World


async def test_b01_one_call_and_two_ids_cover_the_page(world: World) -> None:
    session = await world.writes("hello")
    await world.do("claim", session.id)
    start = await world.get("/inbox")
    [row] = start["sessions"]["items"]
    assert start["default"]["query"]["with"] == ["agent"]
    assert start["sessions"] == await world.get("/sessions", with_="agent")
    assert start["unread"] == await world.get("/unread")
    assert start["accounts"] == (await world.get("/channels"))["items"]
    assert start["filters"] == []
    timeline = await world.get(f"/sessions/{row['id']}/messages")
    assert timeline["items"][-1]["parts"][0]["text"] == "hello"
    assert (await world.get(f"/contacts/{row['contact']['id']}"))["name"] == "Visitor U1"


async def test_b01_the_first_page_is_what_the_agent_chose_and_as_long_as_asked(
    world: World,
) -> None:
    await world.store.insert_many(SESSIONS, fixtures(world.workspace))
    body = {"query": {"channel": ["web"], "tag": ["vip"], "snoozed": "all"}}
    await world.call("PUT", "/inbox/default", "amy", body=body)
    start = await world.get("/inbox", limit=2)
    wanted = await world.get("/sessions", channel="web", tag="vip", snoozed="all", limit=2)
    assert start["sessions"] == wanted
    assert len(start["sessions"]["items"]) == 2


async def test_b07_the_badge_is_the_sum_of_all_rows_however_many_and_rises_and_falls_with_reads(
    world: World,
) -> None:
    rows = fixtures(world.workspace)
    for n, row in enumerate(rows):
        row.inbound, row.reads = n % 5, {ME: n % 3, "agt-bob": n % 5} if n % 3 <= n % 5 else {}
    await world.store.insert_many(SESSIONS, rows)
    for who in ("amy", "bob", "rita"):
        badge = await world.get("/unread", who)
        page = await world.get("/sessions", who, limit=200, counts="false")
        assert badge["total"] == sum(row["unread"] for row in page["items"])
        assert badge["total"] == sum(badge["accounts"].values())
        assert badge["complete"]
    before = (await world.get("/unread"))["total"]
    session = await world.writes("hello")
    await world.writes("more")
    assert (await world.get("/unread"))["total"] == before + 2
    await world.do("read", session.id, body={"up_to": 1})
    assert (await world.get("/unread"))["total"] == before + 1
    await world.do("read", session.id)
    await world.do("read", session.id, body={"up_to": 1})  # never backwards
    assert (await world.get("/unread"))["total"] == before
    assert (await world.get("/unread", "rita"))["total"] > before


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_b07_sums_are_what_a_look_at_every_session_finds_after_any_changes(scope: Scope) -> None:
    choice = random.Random(7)  # noqa: S311  # a choice, no secret
    rows = {row.id: row for row in fixtures()}
    tally = Tally()
    older = []
    for n in range(600):
        row = choice.choice(list(rows.values()))
        inbound = row.inbound + choice.choice((0, 1, 2))
        changed = msgspec.structs.replace(
            row,
            rev=row.rev + 1,
            inbound=inbound,
            reads={ME: choice.randint(0, inbound), "agt-bob": inbound},
            list=choice.choice(("assigned", "assigned", "unassigned", "ended")),
            team=choice.choice(("", "sales", "care")),
            snoozed_until=choice.choice((None, None, row.updated_at)),
        )
        rows[row.id] = changed
        older.append(row)
        tally.put(changed)
        if n % 3 == 0 and tally.filling:
            tally.put(choice.choice(older))  # an older state, read late, counts nothing
        if n == 400:
            tally.filled()
    put: dict[str, Session] = {r.id: r for r in rows.values() if r.rev}
    expected: dict[str, int] = {}
    for row in put.values():
        unread = row.inbound - min(row.reads.get(ME, 0), row.inbound)
        shown = row.list != "ended" and row.snoozed_until is None and seen(row, scope)
        if shown and unread:
            expected[row.account] = expected.get(row.account, 0) + unread
    assert tally.unread(ME, msgspec.structs.replace(scope, agent=ME)) == expected
    assert tally.unread("agt-bob", WHOLE) == {}


async def test_b20_every_connected_account_is_there_with_when_its_last_webhook_came(
    world: World,
) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    for channel in CONNECTED:
        told = Seen(at=at, webhook_at=at)
        key = f"{world.slug(channel)}.ingest.one"
        await world.bus.kv_put(HEALTH_KV, key, msgspec.json.encode(told))
    for path in ("/channels", "/accounts"):
        found = await until(world, path)
        assert {one["channel"] for one in found} == set(CONNECTED)
        times = {one["health"]["last_webhook_at"] for one in found}
        assert {datetime.fromisoformat(one) for one in times} == {at}


async def until(world: World, path: str) -> list[dict[str, Any]]:
    """Return the accounts once the last webhook of each is known."""
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = (await world.get(path))["items"]
        if all(one["health"]["last_webhook_at"] for one in found):
            break
    return found


@pytest.mark.parametrize("channel", ["line", "web", "wechat"])
async def test_b21_a_channel_alone_shows_what_the_store_has_of_it_across_lists(
    world: World, channel: str
) -> None:
    rows = fixtures(world.workspace)
    await world.store.insert_many(SESSIONS, rows)
    every = "bot_hosted,unassigned,assigned,ended"
    found = await world.get("/sessions", channel=channel, list=every, snoozed="all", limit=200)
    count = await world.store.count(SESSIONS, world.workspace, {"channel": channel})
    assert len(found["items"]) == count == found["counts"]["channels"][channel]
    assert {row["list"] for row in found["items"]} == set(every.split(","))

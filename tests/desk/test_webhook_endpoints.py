"""Webhook endpoints as admins keep them, and the log of what they were told (D20)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.bots.check import url_problems
from libs.common.events import Timer
from libs.common.signing import verify
from libs.common.store.api import Page
from libs.common.subjects import TIMERS
from libs.common.webhook_events import DATA
from libs.common.webhook_queue import PARKED
from libs.common.webhooks import (
    DELIVERIES,
    ENDPOINTS,
    EVENT_TYPES,
    WebhookDelivery,
    WebhookEndpoint,
    new_delivery,
    sealed_for,
)
from services.desk.api.openapi import openapi_document
from tests.desk.world import World, open_world

URL = "https://hooks.example/relaydesk"
PATH = "/webhook-endpoints"


async def made(world: World, **more: Any) -> dict[str, Any]:
    answer = await world.call("POST", PATH, "olga", body={"url": URL, **more})
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


async def stored(world: World, endpoint: str) -> WebhookEndpoint:
    found = await world.store.get(ENDPOINTS, world.workspace, endpoint)
    assert found is not None
    return found


async def told(world: World, endpoint: str, count: int = 1, **more: Any) -> list[WebhookDelivery]:
    """Note deliveries, the first the oldest."""
    of = await stored(world, endpoint)
    found = []
    for n in range(count):
        at = datetime.now(UTC) - timedelta(hours=count - n)
        one = new_delivery(of, f"e{n}", "session.moved", "{}", at)
        one = msgspec.structs.replace(one, **{"state": "failed", "next_at": None, **more})
        found.append(await world.store.insert(DELIVERIES, one))
    return found


async def armed(world: World, *expected: str) -> None:
    """Wait until exactly these deliveries were handed to the notifier in this workspace."""
    found: set[str] = set()
    for _ in range(60):
        for of in ("timer.webhook.*", "due.*.webhook.*"):  # the server moves it to the other
            stored = await world.bus.read(TIMERS, of, limit=2000)
            timers = [msgspec.json.decode(one.data, type=Timer) for one in stored]
            found |= {timer.ref for timer in timers if timer.workspace == world.workspace}
        if found >= set(expected):
            break
        await asyncio.sleep(0.05)
    assert found == set(expected)


def secrets_of(world: World, found: WebhookEndpoint) -> list[str]:
    context = sealed_for(found.workspace, found.id)
    return [world.desk.sealer.open(one.sealed, context) for one in found.secrets]


# --- endpoints -----------------------------------------------------------------------------------


async def test_d20_the_secret_is_shown_once_and_kept_sealed(world: World) -> None:
    first = await made(world, description="CRM", events=["message.received"], per_s=5)
    assert first["secret"].startswith("whsec_")
    found = await stored(world, first["id"])
    assert secrets_of(world, found) == [first["secret"]]
    assert first["secret"] not in msgspec.json.encode(found).decode()
    shown = await world.get(f"{PATH}/{first['id']}", "olga")
    assert shown == {**first, "secret": ""}
    assert (await world.get(PATH, "olga"))["items"] == [shown]


async def test_d20_a_new_secret_leaves_the_old_one_a_day(world: World) -> None:
    first = await made(world)
    answer = await world.call("POST", f"{PATH}/{first['id']}/rotate-secret", "olga")
    assert answer.status == 200
    found = await stored(world, first["id"])
    assert secrets_of(world, found) == [answer.json["secret"], first["secret"]]
    newest, old = found.secrets
    assert newest.until is None
    assert old.until is not None
    assert timedelta(hours=23) < old.until - datetime.now(UTC) <= timedelta(hours=24)
    again = await world.call("POST", f"{PATH}/{first['id']}/rotate-secret", "olga")
    found = await stored(world, first["id"])
    assert secrets_of(world, found) == [
        again.json["secret"],
        answer.json["secret"],
        first["secret"],
    ], "who asks again, of a lost answer, does not end what the receiver has"
    assert found.secrets[2].until == old.until
    for _ in range(2):
        await world.call("POST", f"{PATH}/{first['id']}/rotate-secret", "olga")
    assert (await world.get(f"{PATH}/{first['id']}", "olga"))["secrets"] == 5
    much = await world.call("POST", f"{PATH}/{first['id']}/rotate-secret", "olga")
    assert (much.status, much.json["code"]) == (409, "too_many")
    past = datetime.now(UTC) - timedelta(seconds=1)
    found = await stored(world, first["id"])
    oldest = found.secrets[-1]
    gone = msgspec.structs.replace(oldest, until=past)
    await world.store.replace(
        ENDPOINTS, msgspec.structs.replace(found, secrets=(*found.secrets[:-1], gone))
    )
    new = await world.call("POST", f"{PATH}/{first['id']}/rotate-secret", "olga")
    assert new.status == 200
    assert first["secret"] not in secrets_of(world, await stored(world, first["id"]))


BAD = {
    "plain http": ("url", {"url": "http://hooks.example/x"}),
    "loopback": ("url", {"url": "https://127.0.0.1/x"}),
    "loopback in IPv6": ("url", {"url": "https://[::1]/x"}),
    "a private address": ("url", {"url": "https://10.1.2.3/x"}),
    "the cloud's own address": ("url", {"url": "https://169.254.169.254/latest"}),
    "a name of this machine": ("url", {"url": "https://localhost/x"}),
    "a name of the local net": ("url", {"url": "https://printer.local/x"}),
    "a password in the address": ("url", {"url": "https://a:b@hooks.example/x"}),
    "no address": ("url", {"url": "hooks"}),
    "a port that is no port": ("url", {"url": "https://hooks.example:99999/"}),
    "a port of a system service": ("url", {"url": "https://1.1.1.1:22/"}),
    "the port of http": ("url", {"url": "https://hooks.example:80/"}),
    "no port at all": ("url", {"url": "https://hooks.example:0/"}),
    "an address with a dot behind": ("url", {"url": "https://1.1.1.1./"}),
    "a space in the name": ("url", {"url": "https://hooks exa.mple/"}),
    "a tabulator": ("url", {"url": "https://hooks.example\t/"}),
    "the end of a line": ("url", {"url": "https://hooks.example/\r"}),
    "a header behind it": ("url", {"url": "https://hooks.example/\r\nX: y"}),
    "loopback with a dot behind": ("url", {"url": "https://127.0.0.1./"}),
    "loopback in hexadecimal": ("url", {"url": "https://0x7f.1/"}),
    "an inner address in octal": ("url", {"url": "https://0251.0376.0251.0376/"}),
    "an empty label": ("url", {"url": "https://hooks..example/"}),
    "a hyphen at the end of a label": ("url", {"url": "https://-bad-.example/"}),
    "too long an address": ("url", {"url": f"https://hooks.example/{'x' * 3000}"}),
    "an unknown type": ("events.0", {"url": URL, "events": ["session.exploded"]}),
    "an unknown kind of channel": ("channels", {"url": URL, "channels": ["pigeon"]}),
    "an unknown account": ("accounts", {"url": URL, "accounts": ["nobody"]}),
    "a negative rate": ("per_s", {"url": URL, "per_s": -1}),
}


@pytest.mark.parametrize(("field", "body"), BAD.values(), ids=BAD)
async def test_d20_what_cannot_be_is_refused_by_name(
    world: World, field: str, body: dict[str, Any]
) -> None:
    answer = await world.call("POST", PATH, "olga", body=body)
    assert answer.status == 422, answer.body
    assert answer.json["facts"]["field"] == field
    assert answer.json["facts"]["allowed"]
    assert (await world.get(PATH, "olga"))["items"] == []


GOOD = {
    "another port": "https://hooks.example:8443/x?a=b",
    "a name with its root": "https://hooks.example./",
    "a name in its own script": "https://bücher.example/",
    "a name with underscores and digits": "https://a_1.2b.example/",
    "a public address": "https://1.1.1.1/",
    "a public address of IPv6": "https://[2606:4700::1111]:8443/",
}


@pytest.mark.parametrize("url", GOOD.values(), ids=GOOD)
def test_d20_addresses_that_can_be_called_are_taken(url: str) -> None:
    assert list(url_problems(url, local=False)) == []
    assert list(url_problems(url, local=True)) == []


async def test_d20_this_machine_is_allowed_where_it_is_a_trial(
    nats_url: str, ready_url: str
) -> None:
    async with open_world(nats_url, ready_url, local_webhooks=True) as world:
        await made(world, url="http://127.0.0.1:9/hook")


async def test_d20_there_are_twenty_at_most(world: World) -> None:
    for _ in range(20):
        await made(world)
    answer = await world.call("POST", PATH, "olga", body={"url": URL})
    assert (answer.status, answer.json["code"]) == (409, "too_many")


async def test_d20_a_repeat_makes_one_and_shows_no_secret_again(world: World) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await world.call("POST", PATH, "olga", body={"url": URL}, headers=headers)
    again = await world.call("POST", PATH, "olga", body={"url": URL}, headers=headers)
    other = await world.call("POST", PATH, "olga", body={"url": URL + "2"}, headers=headers)
    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == {**first.json, "secret": ""}


async def test_d20_a_change_takes_the_version_it_is_based_on(world: World) -> None:
    first = await made(world)
    path = f"{PATH}/{first['id']}"
    stale = {"If-Match": '"7"'}
    for method in ("PATCH", "DELETE"):
        body = {"enabled": False} if method == "PATCH" else None
        answer = await world.call(method, path, "olga", body=body, headers=stale)
        assert answer.status == 412, method
    fresh = {"If-Match": '"1"'}
    off = await world.call("PATCH", path, "olga", body={"enabled": False}, headers=fresh)
    assert (off.json["enabled"], off.json["disabled_reason"]) == (False, "person")
    gone = await world.call("DELETE", path, "olga", headers={"If-Match": off.headers["ETag"]})
    assert gone.status == 204
    assert (await world.call("GET", path, "olga")).status == 404


async def test_d20_every_change_is_on_record_without_secrets(world: World) -> None:
    first = await made(world, url=URL + "?key=hidden")
    path = f"{PATH}/{first['id']}"
    rotated = await world.call("POST", f"{path}/rotate-secret", "olga")
    await world.call("PATCH", path, "olga", body={"description": "CRM"})
    await world.call("DELETE", path, "olga")
    entries = [e for e in await world.audited() if e.object == f"webhook_endpoint:{first['id']}"]
    assert [e.action.partition(".")[2] for e in entries] == ["create", "secret", "patch", "delete"]
    everything = msgspec.json.encode(entries).decode()
    for hidden in (first["secret"], rotated.json["secret"], "hidden"):
        assert hidden not in everything


async def test_d20_who_switches_on_what_failed_has_what_waits_sent(world: World) -> None:
    first = await made(world)
    [waiting] = await told(world, first["id"], state="pending", next_at=datetime.now(UTC))
    found = await stored(world, first["id"])
    failing = {"enabled": False, "disabled_reason": "failing", "failing_since": found.created_at}
    await world.store.replace(ENDPOINTS, msgspec.structs.replace(found, **failing))
    on = await world.call("PATCH", f"{PATH}/{first['id']}", "olga", body={"enabled": True})
    assert (on.json["enabled"], on.json["disabled_reason"]) == (True, "")
    assert on.json["failing_since"] is None
    await armed(world, f"{PARKED}{waiting.endpoint}")


async def test_d20_what_waits_for_a_deleted_endpoint_is_taken_up_to_be_cancelled(
    world: World,
) -> None:
    first = await made(world)
    answer = await world.call("DELETE", f"{PATH}/{first['id']}", "olga")
    assert answer.status == 204
    await armed(world, f"{PARKED}{first['id']}")


# --- the log -------------------------------------------------------------------------------------


async def test_d20_the_log_pages_and_filters(world: World) -> None:
    first = await made(world)
    path = f"{PATH}/{first['id']}/deliveries"
    all_of = await told(world, first["id"], 5)
    await world.store.replace(DELIVERIES, msgspec.structs.replace(all_of[2], state="delivered"))
    seen: list[str] = []
    cursor = ""
    while True:
        page = await world.get(path, "olga", limit=2, cursor=cursor)
        seen += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == [one.id for one in reversed(all_of)]
    only = await world.get(path, "olga", state="delivered")
    assert [row["id"] for row in only["items"]] == [all_of[2].id]
    assert (await world.get(path, "olga", type="message.sent"))["items"] == []
    assert len((await world.get(path, "olga", type="session.moved"))["items"]) == 5


async def test_d20_a_test_is_noted_and_handed_to_the_notifier_once(world: World) -> None:
    first = await made(world)
    path = f"{PATH}/{first['id']}"
    headers = {"Idempotency-Key": "t1"}
    one = await world.call("POST", f"{path}/test", "olga", headers=headers)
    two = await world.call("POST", f"{path}/test", "olga", headers=headers)
    assert (one.status, two.status, one.json["id"]) == (202, 202, two.json["id"])
    detail = await world.get(f"{path}/deliveries/{one.json['id']}", "olga")
    body = msgspec.json.decode(detail["body"])
    assert (body["type"], body["data"]["endpoint"]) == ("webhook.test", first["id"])
    assert (detail["state"], detail["attempts"]) == ("pending", [])
    await armed(world, one.json["id"])


async def test_d20_a_delivery_is_told_again_by_its_id(world: World) -> None:
    first = await made(world)
    [one] = await told(world, first["id"], tries=11, state="delivered")
    path = f"{PATH}/{first['id']}/deliveries/{one.id}"
    answer = await world.call("POST", f"{path}/redeliver", "olga")
    assert answer.status == 202
    assert (answer.json["state"], answer.json["tries"]) == ("pending", 0)
    assert (answer.json["id"], answer.json["redelivered"]) == (one.id, 1)
    await armed(world, one.id)


RANGES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "all that failed since": ({}, [0, 1, 2, 3]),
    "up to a time": ({"until_h": 2.5}, [0, 1]),
    "from a time": ({"since_h": 2.5}, [2, 3]),
    "by default not what was delivered": ({"delivered": 1}, [0, 2, 3]),
    "also that, where it is asked for": (
        {"delivered": 1, "states": ["failed", "delivered"]},
        [0, 1, 2, 3],
    ),
    "only what was cancelled, which is nothing": ({"states": ["cancelled"]}, []),
}


@pytest.mark.parametrize(("wish", "expected"), RANGES.values(), ids=RANGES)
async def test_d20_a_range_is_told_again(
    world: World, wish: dict[str, Any], expected: list[int]
) -> None:
    first = await made(world)
    all_of = await told(world, first["id"], 4)  # 4, 3, 2, 1 hours ago
    if "delivered" in wish:
        done = msgspec.structs.replace(all_of[wish["delivered"]], state="delivered")
        await world.store.replace(DELIVERIES, done)
    now = datetime.now(UTC)
    body: dict[str, Any] = {"since": (now - timedelta(hours=wish.get("since_h", 9))).isoformat()}
    if "until_h" in wish:
        body["until"] = (now - timedelta(hours=wish["until_h"])).isoformat()
    if "states" in wish:
        body["states"] = wish["states"]
    answer = await world.call("POST", f"{PATH}/{first['id']}/redeliver", "olga", body=body)
    assert answer.status == 202, answer.body
    assert answer.json == {"count": len(expected), "next": None}
    ids = {all_of[n].id for n in expected}
    await armed(world, *([f"{PARKED}{first['id']}"] if ids else []))
    where = {"endpoint": first["id"], "state": "pending"}
    found = await world.store.find(DELIVERIES, world.workspace, where, Page(order="state"))
    assert {one.id for one in found if one.parked_at is not None} == ids


LATE = "9999-12-31T23:59:59-23:59"
NO_TIMES = {
    "behind the last year": ("until", {"since": "2026-01-01T00:00:00Z", "until": LATE}),
    "before the first year": ("since", {"since": "0001-01-01T00:00:00+23:59"}),
    "without an offset": ("until", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00"}),
    "the wrong way round": (
        "until",
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    ),
}


@pytest.mark.parametrize(("field", "body"), NO_TIMES.values(), ids=NO_TIMES)
async def test_d20_a_span_that_is_none_is_refused_by_name(
    world: World, field: str, body: dict[str, Any]
) -> None:
    first = await made(world)
    answer = await world.call("POST", f"{PATH}/{first['id']}/redeliver", "olga", body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body


@pytest.mark.parametrize("path", ["/test", "/deliveries/{one}/redeliver", "/redeliver"])
async def test_d20_nothing_is_told_to_an_endpoint_that_is_off(world: World, path: str) -> None:
    first = await made(world, enabled=False)
    [one] = await told(world, first["id"])
    body = {"since": "2026-01-01T00:00:00Z"} if path == "/redeliver" else None
    where = f"{PATH}/{first['id']}{path.format(one=one.id)}"
    answer = await world.call("POST", where, "olga", body=body)
    assert (answer.status, answer.json["code"]) == (409, "endpoint_disabled")


async def test_d20_a_delivery_of_another_endpoint_is_not_there(world: World) -> None:
    first, second = await made(world), await made(world)
    [one] = await told(world, first["id"])
    answer = await world.call("GET", f"{PATH}/{second['id']}/deliveries/{one.id}", "olga")
    assert answer.status == 404


def test_d20_the_published_vector_of_the_specification_verifies() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    verify(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers,
        b'{"test": 2432232314}',
        datetime.fromtimestamp(1614265330, UTC),
    )


def test_d20_the_api_document_describes_every_event() -> None:
    described = openapi_document()["webhooks"]
    assert set(described) == set(EVENT_TYPES)
    for kind, found in described.items():
        content = found["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert content["properties"]["type"] == {"const": kind}
        assert content["properties"]["data"]["$ref"].endswith(DATA[kind].__name__)

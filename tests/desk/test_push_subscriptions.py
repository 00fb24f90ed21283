"""An agent's browsers: taken up once, checked, capped, nobody else's, and gone with the login."""

from __future__ import annotations

import asyncio
import base64
import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libs.common.errors import SettingsError
from libs.common.push_keys import point_problem, vapid_keys
from libs.common.pushes import (
    SUBSCRIPTIONS,
    Endpoint,
    PushHosts,
    PushSubscription,
    seal_context,
    subscription_id,
)
from libs.common.seal import new_key_setting
from tests.desk.world import PASSWORD, Answer, World

PATH = "/push-subscriptions"


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def browser(name: str = "b", **changes: Any) -> dict[str, Any]:
    """Return what a browser says of its subscription."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": text(raw), "auth": text(os.urandom(16))}
    endpoint = f"https://fcm.googleapis.com/fcm/send/{name}"
    return {"endpoint": endpoint, "expirationTime": None, "keys": keys, **changes}


async def subscribe(world: World, who: str, body: Any, **headers: str) -> Answer:
    return await world.call("POST", PATH, who, body=body, headers=headers)


async def stored(world: World, body: dict[str, Any]) -> PushSubscription | None:
    found = subscription_id(body["endpoint"])
    return await world.store.get(SUBSCRIPTIONS, world.workspace, found)


async def shown(world: World, who: str = "amy") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await world.get(PATH, who))["items"]
    return items


async def test_a_browser_subscribes_with_our_key_and_is_kept_sealed(world: World) -> None:
    key = (await world.get(f"{PATH}/key", "rita"))["key"]
    assert point_problem(key) == ""
    body = browser("one", key=key)
    answer = await subscribe(world, "rita", body, **{"User-Agent": "Firefox " + "x" * 500})
    assert answer.status == 201, answer.body
    found = await stored(world, body)
    assert found is not None
    assert (found.agent, found.key, found.host) == ("agt-rita", key, "fcm.googleapis.com")
    assert len(found.user_agent) == 120
    secret = body["keys"]["auth"]
    opened = world.desk.sealer.open(found.sealed, seal_context(world.workspace, found.id))
    assert msgspec.json.decode(opened, type=Endpoint).auth == secret
    for said in (answer.body, msgspec.json.encode(found), str(await shown(world, "rita")).encode()):
        assert body["endpoint"].encode() not in said
        assert secret.encode() not in said


async def test_the_same_browser_again_is_one_and_follows_who_uses_it(world: World) -> None:
    body = browser()
    statuses = [(await subscribe(world, who, body)).status for who in ("amy", "amy", "bob")]
    assert statuses == [201, 200, 200]
    assert await shown(world, "amy") == []
    [mine] = await shown(world, "bob")
    assert (await world.call("DELETE", f"{PATH}/{mine['id']}", "bob")).status == 204
    assert await shown(world, "bob") == []


async def test_two_tabs_that_subscribe_at_once_make_one(world: World) -> None:
    body = browser()
    answers = await asyncio.gather(*(subscribe(world, "amy", body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 201]
    assert len(await shown(world)) == 1


async def test_nobody_sees_or_ends_anothers(world: World) -> None:
    body = browser()
    assert (await subscribe(world, "amy", body)).status == 201
    [mine] = await shown(world, "amy")
    for who in ("bob", "olga", "zoe"):
        assert await shown(world, who) == []
        assert (await world.call("DELETE", f"{PATH}/{mine['id']}", who)).status == 404
    assert await stored(world, body) is not None


async def test_the_eleventh_browser_takes_the_place_of_the_most_idle(world: World) -> None:
    bodies = [browser(f"b{n}") for n in range(11)]
    for body in bodies[:10]:
        assert (await subscribe(world, "amy", body)).status == 201
    oldest = await stored(world, bodies[0])
    assert oldest is not None
    lately = oldest.created_at + timedelta(hours=1)
    await world.store.replace(SUBSCRIPTIONS, msgspec.structs.replace(oldest, last_ok_at=lately))
    assert (await subscribe(world, "amy", bodies[10])).status == 201
    assert [await stored(world, body) is not None for body in bodies] == [
        number != 1 for number in range(11)
    ]


async def test_logging_out_ends_the_pushes_of_that_login_alone(world: World) -> None:
    logged_in = await world.call(
        "POST", "/login", body={"email": world.email("amy"), "password": PASSWORD}
    )
    world.tokens["tab"] = logged_in.json["token"]
    here, elsewhere = browser("here"), browser("elsewhere")
    assert (await subscribe(world, "tab", here)).status == 201
    assert (await subscribe(world, "amy", elsewhere)).status == 201
    assert [each["current"] for each in await shown(world, "tab")] == [True, False]
    assert (await world.call("POST", "/logout", "tab")).status == 204
    assert await stored(world, here) is None
    assert await stored(world, elsewhere) is not None


LONG = "https://fcm.googleapis.com/" + "x" * 1000
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an address inside": ({"endpoint": "https://10.0.0.1/x"}, "endpoint"),
    "this machine": ({"endpoint": "http://127.0.0.1:8080/x"}, "endpoint"),
    "somebody else's host": ({"endpoint": "https://evil.example/x"}, "endpoint"),
    "without TLS": ({"endpoint": "http://fcm.googleapis.com/x"}, "endpoint"),
    "too long": ({"endpoint": LONG}, "endpoint"),
    "empty": ({"endpoint": ""}, "endpoint"),
    "no keys": ({"keys": {}}, "keys.p256dh"),
    "a point that is too short": (
        {"keys": {"p256dh": text(b"\4" * 64), "auth": text(b"x" * 16)}},
        "keys.p256dh",
    ),
    "a point off the curve": (
        {"keys": {"p256dh": text(b"\4" + b"\1" * 64), "auth": text(b"x" * 16)}},
        "keys.p256dh",
    ),
    "letters that are no base64": (
        {"keys": {"p256dh": "ä" * 87, "auth": text(b"x" * 16)}},
        "keys.p256dh",
    ),
    "an auth of 15 bytes": (
        {"keys": {"p256dh": browser()["keys"]["p256dh"], "auth": text(b"x" * 15)}},
        "keys.auth",
    ),
    "subscribed with a key that is not ours": (
        {"key": browser()["keys"]["p256dh"]},
        "key",
    ),
    "an unknown field": ({"topic": "x"}, "topic"),
}


@pytest.mark.parametrize(("changes", "field"), WRONG.values(), ids=WRONG)
async def test_what_could_not_be_pushed_to_is_refused_by_name(
    world: World, changes: dict[str, Any], field: str
) -> None:
    answer = await subscribe(world, "amy", browser(**changes))
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.json
    assert await shown(world) == []


SETTING = "push.example.org, *.pushes.example, http://127.0.0.1:9999"
PERMITTED: dict[str, tuple[str, bool]] = {
    "chrome's": ("https://fcm.googleapis.com/fcm/send/a:b", True),
    "its port named": ("https://fcm.googleapis.com:443/x", True),
    "in capitals": ("https://FCM.googleapis.com/x", True),
    "another port": ("https://fcm.googleapis.com:8443/x", False),
    "firefox's": ("https://updates.push.services.mozilla.com/wpush/v2/x", True),
    "the name itself of a wildcard": ("https://push.services.mozilla.com/x", False),
    "edge's": ("https://wns2-am3p.notify.windows.com/w/?token=x", True),
    "safari's": ("https://web.push.apple.com/x", True),
    "a name that only ends alike": ("https://evilnotify.windows.com/x", False),
    "a name that only begins alike": ("https://fcm.googleapis.com.evil.example/x", False),
    "with a user": ("https://fcm.googleapis.com@evil.example/x", False),
    "with a user at the right host": ("https://a:b@fcm.googleapis.com/x", False),
    "a backslash": ("https://evil.example\\@fcm.googleapis.com/x", False),
    "a fragment": ("https://fcm.googleapis.com/x#y", False),
    "a blank": ("https://fcm.googleapis.com/x y", False),
    "a dot at the end": ("https://fcm.googleapis.com./x", False),
    "added": ("https://push.example.org/x", True),
    "added, below": ("https://a.pushes.example/x", True),
    "below an added name": ("https://a.push.example.org/x", False),
    "the origin for trials": ("http://127.0.0.1:9999/x", True),
    "another port of this machine": ("http://127.0.0.1:9998/x", False),
    "the origin for trials with a user": ("http://a@127.0.0.1:9999/x", False),
    "no address": ("nonsense", False),
    "a broken port": ("https://fcm.googleapis.com:x/", False),
    "a broken bracket": ("https://[fcm.googleapis.com/", False),
}


@pytest.mark.parametrize(("endpoint", "permitted"), PERMITTED.values(), ids=PERMITTED)
def test_where_pushes_may_go(endpoint: str, permitted: bool) -> None:
    assert PushHosts(SETTING).permits(endpoint) is permitted


BAD_SETTINGS = [
    "http://10.0.0.1:80",
    "https://push.example.org:1",
    "http://127.0.0.1",
    "http://127.0.0.1:9999/path",
    "localhost",
    "10.0.0.1",
    "*",
    "*.com*",
    "a b.example",
]


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_a_setting_that_is_no_host_stops_the_start(setting: str) -> None:
    with pytest.raises(SettingsError, match="RELAYDESK_PUSH_HOSTS"):
        PushHosts(setting)


def test_our_key_is_the_same_for_the_same_secret_and_the_former_stays_known() -> None:
    old, new = new_key_setting(), new_key_setting()
    [before] = vapid_keys(old)
    assert list(vapid_keys(old)) == [before]
    after = list(vapid_keys(f"{new},{old}"))
    assert after == [*vapid_keys(new), before]

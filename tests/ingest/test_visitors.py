"""The web plugin's page: a token, its messages, its event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
import msgspec
import pytest

from libs.common import subjects
from libs.common.channel import Account
from libs.common.channels.web.wire import VisitorMessage
from libs.common.errors import SettingsError
from libs.common.events import MediaPart, MessageReceived, VisitorSignal
from libs.common.files.links import link_keys, verify
from services.ingest import stream as stream_module
from services.ingest.remote import neighbourhood, networks
from services.ingest.signals import Signals
from services.ingest.stream import visitor_subject
from services.ingest.throttle import Slots, Throttle
from tests.ingest.harness import KEY, Here, account, counted, events, ingest_here, path_of


@pytest.fixture
def shop(here: Here) -> Account:
    one = account("web")
    here.connect(one)
    return one


async def ask(
    here: Here, method: str, path: str, *, token: str = "", body: Any = None, **headers: str
) -> tuple[int, Any, Any]:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else msgspec.json.encode(body)
    async with here.http.request(method, here.base_url + path, data=data, headers=headers) as got:
        raw = await got.read()
        is_json = got.headers.get("Content-Type", "").startswith("application/json")
        return got.status, msgspec.json.decode(raw) if is_json else raw, got.headers


async def minted(here: Here, shop: Account) -> tuple[str, str]:
    status, told, _ = await ask(here, "POST", f"{path_of(shop)}/visitors")
    assert status == 201
    return told["visitor"], told["token"]


async def test_a_visitor_gets_a_token_and_posts_with_it(here: Here, shop: Account) -> None:
    visitor, token = await minted(here, shop)
    assert len(visitor) >= 22  # 128 bits
    assert (await minted(here, shop))[0] != visitor
    status, told, headers = await ask(
        here, "POST", path_of(shop), token=token, body={"id": "c-1", "text": "hi"}
    )
    assert (status, told) == (200, {"accepted": True})
    assert headers["Access-Control-Allow-Origin"] == "*"
    (event,) = await events(here.bus, shop.workspace)
    assert isinstance(event.event, MessageReceived)
    assert event.event.visitor == visitor


REFUSED = {
    "no token": "",
    "a token of nobody": "e30.AAAA",
    "a token that is none": "x",
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("at", ["", "/heartbeat", "/events"])
async def test_without_a_token_nothing(here: Here, shop: Account, token: str, at: str) -> None:
    method = "GET" if at == "/events" else "POST"
    status, _, headers = await ask(here, method, path_of(shop) + at, token=token, body={"id": "1"})
    assert status == 401
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert await events(here.bus, shop.workspace) == []


async def test_a_token_is_good_for_its_account_only(here: Here, shop: Account) -> None:
    other = account("web")
    here.connect(other)
    _, token = await minted(here, shop)
    status, _, _ = await ask(
        here, "POST", path_of(other), token=token, body={"id": "1", "text": "x"}
    )
    assert status == 401


@pytest.mark.parametrize("at", ["", "/visitors", "/heartbeat", "/events"])
async def test_pages_of_any_site_may_call(here: Here, shop: Account, at: str) -> None:
    status, _, headers = await ask(
        here, "OPTIONS", path_of(shop) + at, Origin="https://shop.example"
    )
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("at", ["/visitors", "/heartbeat", "/events", "/other"])
async def test_wrong_methods_and_paths(here: Here, shop: Account, at: str) -> None:
    status, _, _ = await ask(here, "DELETE", path_of(shop) + at)
    assert status == (404 if at == "/other" else 405)


async def test_an_unknown_account_mints_nothing(here: Here) -> None:
    assert (await ask(here, "POST", f"{path_of(account('web'))}/visitors"))[0] == 404


@pytest.mark.usefixtures("standing_clock")
async def test_g16_tokens_are_limited_by_address(here: Here, shop: Account) -> None:
    answers = [await ask(here, "POST", f"{path_of(shop)}/visitors") for _ in range(62)]
    assert [status for status, _, _ in answers] == [201] * 60 + [429] * 2
    assert answers[-1][2]["Retry-After"] == "5"


@pytest.mark.usefixtures("standing_clock")
async def test_g16_messages_are_limited_by_visitor(here: Here, shop: Account) -> None:
    (_, loud), (_, quiet) = await minted(here, shop), await minted(here, shop)

    async def post(token: str, number: int) -> int:
        body = {"id": f"c-{number}", "text": "x"}
        return (await ask(here, "POST", path_of(shop), token=token, body=body))[0]

    answers = await asyncio.gather(*[post(loud, number) for number in range(210)])
    assert (answers.count(200), answers.count(429)) == (200, 10)
    assert await post(quiet, 1) == 200
    assert len(await events(here.bus, shop.workspace)) == answers.count(200) + 1


async def test_a_large_post_of_a_page_is_refused(here: Here, shop: Account) -> None:
    _, token = await minted(here, shop)
    body = {"id": "c-1", "text": "x" * 200_000}
    assert (await ask(here, "POST", path_of(shop), token=token, body=body))[0] == 413


async def test_a_sign_of_life_is_shouted(here: Here, shop: Account) -> None:
    heard: list[bytes] = []
    stop = await here.bus.listen(
        f"rt.{shop.workspace}.visitor.{shop.slug}", lambda _, data: heard.append(data)
    )
    await here.bus.connection.rtt()
    visitor, token = await minted(here, shop)
    status, body, _ = await ask(here, "POST", f"{path_of(shop)}/heartbeat", token=token)
    assert (status, body) == (204, b"")
    for _ in range(100):
        if heard:
            break
        await asyncio.sleep(0.02)
    told = msgspec.json.decode(heard[0])
    assert (told["visitor"], told["typing"]) == (visitor, False)
    await stop()


BEATS: dict[str, tuple[Any, int, list[bool]]] = {
    "writing": ({"typing": True}, 204, [True]),
    "not writing": ({"typing": False}, 204, [False]),
    "something strange": ([5], 204, [False]),
    "too much": ({"typing": True, "x": "y" * 300}, 413, []),
}


@pytest.mark.parametrize(("said", "status", "typing"), BEATS.values(), ids=BEATS)
async def test_a_sign_of_life_tells_whether_the_visitor_is(
    here: Here, shop: Account, said: Any, status: int, typing: list[bool]
) -> None:
    heard: list[bytes] = []
    stop = await here.bus.listen(
        f"rt.{shop.workspace}.visitor.{shop.slug}", lambda _, data: heard.append(data)
    )
    await here.bus.connection.rtt()
    _, token = await minted(here, shop)
    got, _, _ = await ask(here, "POST", f"{path_of(shop)}/heartbeat", token=token, body=said)
    await here.bus.connection.rtt()
    assert got == status
    assert [msgspec.json.decode(data)["typing"] for data in heard] == typing
    await stop()


# --- the event stream --------------------------------------------------------------------------


class Page:
    """A page that listens."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> dict[str, str]:
        """Return the fields of the next event; comments and `retry` are passed over."""
        while True:
            fields: dict[str, str] = {}
            while line := (await asyncio.wait_for(self.answer.content.readline(), 10)).strip():
                name, _, value = line.decode().partition(": ")
                fields[name] = value
            if "data" in fields:
                return fields

    async def comment(self) -> str:
        while True:
            line = (await asyncio.wait_for(self.answer.content.readline(), 10)).decode()
            if line.startswith(":") or not line:
                return line


@asynccontextmanager
async def listening_page(
    here: Here, shop: Account, token: str, **headers: str
) -> AsyncIterator[Page]:
    headers["Authorization"] = f"Bearer {token}"
    url = f"{here.base_url}{path_of(shop)}/events"
    async with here.http.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        yield Page(answer)


async def show(here: Here, shop: Account, visitor: str, text: str) -> int:
    subject = visitor_subject(shop.workspace, shop.slug, visitor)
    ack = await here.bus.publish(
        subject, msgspec.json.encode({"text": text}), msg_id=f"{visitor}{text}"
    )
    return ack.sequence


async def test_a_page_sees_what_is_stored_and_what_comes(here: Here, shop: Account) -> None:
    visitor, token = await minted(here, shop)
    sequence = await show(here, shop, visitor, "before")
    async with listening_page(here, shop, token) as page:
        first = await page.next()
        assert (first["id"], first["data"]) == (str(sequence), '{"text":"before"}')
        await show(here, shop, visitor, "now")
        assert (await page.next())["data"] == '{"text":"now"}'


async def test_a_page_resumes_behind_the_last_event_it_saw(here: Here, shop: Account) -> None:
    visitor, token = await minted(here, shop)
    await show(here, shop, visitor, "one")
    async with listening_page(here, shop, token) as page:
        seen = (await page.next())["id"]
    await show(here, shop, visitor, "two")
    await show(here, shop, visitor, "three")
    async with listening_page(here, shop, token, **{"Last-Event-ID": seen}) as page:
        assert [(await page.next())["data"] for _ in range(2)] == [
            '{"text":"two"}',
            '{"text":"three"}',
        ]


@pytest.mark.parametrize("last", ["x", "-1", "", "9" * 30, "\u0661"])
async def test_a_strange_last_event_id_starts_from_the_beginning(
    here: Here, shop: Account, last: str
) -> None:
    visitor, token = await minted(here, shop)
    await show(here, shop, visitor, "one")
    async with listening_page(here, shop, token, **{"Last-Event-ID": last}) as page:
        assert (await page.next())["data"] == '{"text":"one"}'


async def test_a_visitor_sees_nothing_of_another(here: Here, shop: Account) -> None:
    (one, token), (other, _) = await minted(here, shop), await minted(here, shop)
    await show(here, shop, other, "secret")
    await show(here, shop, one, "own")
    async with listening_page(here, shop, token) as page:
        assert (await page.next())["data"] == '{"text":"own"}'


# --- files and signals in the stream -----------------------------------------------------------

LINK_KEYS = link_keys(KEY)


async def test_d22_a_file_has_a_link_that_is_made_when_it_is_told(
    here: Here, shop: Account
) -> None:
    visitor, token = await minted(here, shop)
    part = MediaPart(kind="image", attachment="att_1", name="offer.png", url="/files/old")
    message = VisitorMessage(id="msg_1", at=datetime.now(UTC), sender="agent", parts=(part,))
    subject = visitor_subject(shop.workspace, shop.slug, visitor)
    await here.bus.publish(subject, msgspec.json.encode(message), msg_id="msg_1")
    async with listening_page(here, shop, token) as page:
        told = msgspec.json.decode((await page.next())["data"])
    where = urlsplit(told["parts"][0]["url"])
    linked = verify(LINK_KEYS, unquote(where.path), dict(parse_qsl(where.query)), datetime.now(UTC))
    assert linked is not None
    assert (linked.workspace, linked.file_id) == (shop.workspace, "att_1")
    assert linked.expires > datetime.now(UTC) + timedelta(hours=23)


def test_links_begin_with_the_public_address() -> None:
    message = VisitorMessage(
        id="msg_1",
        at=datetime.now(UTC),
        sender="bot",
        parts=(MediaPart(kind="file", attachment="att_1"),),
    )
    links = stream_module.Links(LINK_KEYS, "https://chat.example.com/")
    told = msgspec.json.decode(links.told("acme", msgspec.json.encode(message)))
    assert told["parts"][0]["url"].startswith("https://chat.example.com/files/acme/att_1/")


def signal(shop: Account, visitor: str, kind: Literal["typing", "seen"]) -> tuple[str, bytes]:
    given = VisitorSignal(
        workspace=shop.workspace,
        channel="web",
        account=shop.slug,
        session="ses_1",
        visitor=visitor,
        kind=kind,
    )
    return subjects.signal(shop.workspace, shop.slug), msgspec.json.encode(given)


async def test_typing_and_reading_come_between_the_messages(here: Here, shop: Account) -> None:
    (visitor, token), (other, _) = await minted(here, shop), await minted(here, shop)
    await show(here, shop, visitor, "first")
    async with (
        listening_page(here, shop, token) as page,
        listening_page(here, shop, token) as second_tab,
    ):
        for one in (page, second_tab):
            assert (await one.next())["data"] == '{"text":"first"}'
        here.bus.shout(subjects.signal(shop.workspace, shop.slug), b"junk")
        here.bus.shout(*signal(shop, other, "typing"))
        here.bus.shout(*signal(shop, visitor, "typing"))
        here.bus.shout(*signal(shop, visitor, "seen"))
        for one in (page, second_tab):
            told = [await one.next(), await one.next()]
            assert told == [
                {"event": "signal", "data": '{"kind":"typing"}'},
                {"event": "signal", "data": '{"kind":"seen"}'},
            ]


async def test_one_subscription_serves_all_pages_of_an_account(here: Here) -> None:
    signals = Signals()
    heard: list[bytes] = []
    at = ("acme", "acme-web")
    async with signals.heard(here.bus, at, "ada", heard.append):
        async with signals.heard(here.bus, at, "bob", heard.append):
            assert len(signals._rooms) == 1
        assert len(signals._rooms) == 1
    assert signals._rooms == {}


async def test_a_silent_stream_shows_that_it_lives(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_S", 0.1)
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("web")
        here.connect(one)
        _, token = await minted(here, one)
        async with listening_page(here, one, token) as page:
            assert (await page.comment()).startswith(":")
            here.reach.directory.put_account(one.slug, None)  # the account goes: so does the stream
            while await page.comment():
                pass


async def test_streams_are_limited_by_visitor(here: Here, shop: Account) -> None:
    _, token = await minted(here, shop)
    url = f"{here.base_url}{path_of(shop)}/events"
    headers = {"Authorization": f"Bearer {token}"}
    answers = [await here.http.get(url, headers=headers) for _ in range(stream_module.EACH_VISITOR)]
    async with here.http.get(url, headers=headers) as one_more:
        assert one_more.status == 429
    assert counted("visitor_streams") == stream_module.EACH_VISITOR
    for answer in answers:
        answer.close()
    await asyncio.sleep(0)


async def test_i17_open_streams_do_not_hold_up_the_end(nats_url: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("web")
        here.connect(one)
        _, token = await minted(here, one)
        url = f"{here.base_url}{path_of(one)}/events"
        answer = await here.http.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200
        started = loop.time()
    answer.close()
    assert loop.time() - started < 3


# --- limits ------------------------------------------------------------------------------------


def test_a_throttle_allows_a_burst_then_a_rate() -> None:
    throttle = Throttle(rate=2, burst=3, keys=2)
    assert [throttle.allow("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert throttle.allow("b", 0.0)
    assert [throttle.allow("a", 1.0) for _ in range(3)] == [True, True, False]
    throttle.allow("c", 1.0)
    throttle.allow("d", 1.0)
    assert throttle.allow("a", 1.0)  # forgotten: the table is bounded


def test_slots_count_each_and_all() -> None:
    slots = Slots(each=2, total=3)
    assert [slots.take(key) for key in "aaabb"] == [True, True, False, True, False]
    slots.free("a")
    assert slots.take("b")
    assert slots.count == 3


ADDRESSES = {
    "the peer itself": ("192.0.2.7", "", "192.0.2.7"),
    "a stranger's word is not believed": ("192.0.2.7", "203.0.113.1", "192.0.2.7"),
    "a proxy's word is": ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
    "only the last stranger counts": ("10.0.0.1", "1.1.1.1, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
    "nonsense behind a proxy": ("10.0.0.1", "unknown", "10.0.0.1"),
    "IPv6 counts by its network": ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
    "IPv4 inside IPv6": ("::ffff:192.0.2.7", "", "192.0.2.7"),
    "no address": ("", "", ""),
}


@pytest.mark.parametrize(("peer", "forwarded", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_neighbourhood(peer: str, forwarded: str, expected: str) -> None:
    assert neighbourhood(peer, forwarded, networks("10.0.0.0/8, 127.0.0.1")) == expected


def test_the_stream_of_visitors_takes_the_subject() -> None:
    assert visitor_subject("w", "a", "v").startswith("visitor.w.a.vis_")
    assert subjects.VISITORS.subjects == ("visitor.*.*.*",)


def test_a_proxy_that_is_no_network_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="RELAYDESK_TRUSTED_PROXIES"):
        networks("10.0.0.0/8, nonsense")

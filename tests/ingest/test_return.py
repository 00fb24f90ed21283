"""A visitor comes back by the link in an email: the same visitor, on a page that shows it all."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels.web.wire import (
    RETURN_LIFE_S,
    VisitorMessage,
    mint,
    mint_return,
    returning,
    visitor_of,
)
from libs.common.errors import BadSignatureError
from libs.common.events import TextPart
from libs.common.policy import Policy
from libs.common.subjects import POLICY_KV
from libs.common.switches import RemoveBranding, Settings
from services.ingest import plugin_config, visitors
from services.ingest.stream import visitor_subject
from tests.ingest.harness import NOW, Here, account, path_of, until
from tests.ingest.test_visitors import ask, listening_page, minted

SESSION = "ses_1"


@pytest.fixture
def shop(here: Here) -> Account:
    one = account("web")
    here.connect(one)
    return one


def link(shop: Account, visitor: str, *, age_s: int = 0) -> str:
    return mint_return(shop, visitor, SESSION, int(time.time()) - age_s)


async def back(here: Here, shop: Account, token: Any) -> tuple[int, Any]:
    status, told, headers = await ask(
        here, "POST", f"{path_of(shop)}/return", body={"token": token}
    )
    assert headers["Access-Control-Allow-Origin"] == "*"
    return status, told


async def test_a20_the_link_makes_a_browser_the_same_visitor_who_sees_our_replies(
    here: Here,
    shop: Account,
) -> None:
    visitor, _ = await minted(here, shop)
    reply = VisitorMessage(
        id="msg_1", at=NOW, sender="agent", parts=(TextPart(text="here I am"),), agent="Ada"
    )
    subject = visitor_subject(shop.workspace, shop.slug, visitor)
    await here.bus.publish(subject, msgspec.json.encode(reply), msg_id=f"{visitor}-1")
    status, told = await back(here, shop, link(shop, visitor))
    assert (status, told["visitor"]) == (200, visitor)
    now = int(time.time())
    assert visitor_of(shop, told["token"], now) == visitor
    assert visitor_of(shop, told["token"], now + RETURN_LIFE_S - 60) == visitor
    for late in (now + RETURN_LIFE_S + 1, None):  # it is good no longer than the link
        with pytest.raises(BadSignatureError):
            visitor_of(shop, told["token"], late)
    async with listening_page(here, shop, told["token"]) as page:
        shown = msgspec.json.decode((await page.next())["data"], type=VisitorMessage)
    assert shown == reply
    body = {"id": "c-1", "text": "thanks"}
    status, _, _ = await ask(here, "POST", path_of(shop), token=told["token"], body=body)
    assert status == 200


def other(shop: Account) -> Account:
    """Return another account that has the same key, so that only the name tells them apart."""
    return msgspec.structs.replace(shop, slug=f"{shop.slug}-other")


def rekeyed(shop: Account) -> Account:
    return msgspec.structs.replace(shop, secrets={"visitor_key": "another key"})


REFUSED: dict[str, tuple[Any, int, str]] = {
    "an expired link": (lambda s: link(s, "v", age_s=RETURN_LIFE_S + 1), 410, "link_expired"),
    "a link on its last day": (lambda s: link(s, "v", age_s=RETURN_LIFE_S - 60), 200, ""),
    "another account's link": (lambda s: link(other(s), "v"), 401, "link_invalid"),
    "a link from before the key was changed": (
        lambda s: link(rekeyed(s), "v"),
        401,
        "link_invalid",
    ),
    "a visitor token": (lambda s: mint(s, "v", 1), 401, "link_invalid"),
    "a forged signature": (lambda s: link(s, "v")[:-2] + "zz", 401, "link_invalid"),
    "half a token": (lambda s: link(s, "v").partition(".")[0], 401, "link_invalid"),
    "nothing": (lambda _: "", 401, "link_invalid"),
    "a lone surrogate": (lambda _: "\udcff.x", 400, ""),
    "a number": (lambda _: 5, 400, ""),
}


@pytest.mark.parametrize(("make", "expected", "code"), REFUSED.values(), ids=REFUSED)
async def test_a20_a_link_is_good_for_its_account_and_its_time_only(
    here: Here,
    shop: Account,
    make: Any,
    expected: int,
    code: str,
) -> None:
    token = make(shop)
    body = token if isinstance(token, int) else token.encode("utf-8", "surrogatepass")
    raw = b'{"token": 5}' if isinstance(body, int) else b'{"token": "%b"}' % body
    url = f"{here.base_url}{path_of(shop)}/return"
    async with here.http.post(url, data=raw) as answer:
        told = await answer.read()
        assert answer.status == expected, told
    if code:
        assert msgspec.json.decode(told)["code"] == code


def test_a20_a_return_link_is_no_visitor_token() -> None:
    shop = account("web")
    with pytest.raises(BadSignatureError):
        visitor_of(shop, link(shop, "v"))
    assert returning(shop, link(shop, "v"), int(time.time())).s == SESSION


async def test_a20_a_too_long_body_is_refused(here: Here, shop: Account) -> None:
    status, _ = await back(here, shop, "x" * 5000)
    assert status == 413


@pytest.mark.usefixtures("standing_clock")
async def test_g16_coming_back_is_limited_by_address(here: Here, shop: Account) -> None:
    statuses = [(await back(here, shop, "x"))[0] for _ in range(62)]
    assert statuses == [401] * 60 + [429] * 2


@pytest.mark.parametrize("removed", [True, False])
async def test_a22_the_page_asks_whether_our_name_is_shown(
    here: Here, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    one = account("web")
    here.connect(one)
    settings = Settings(remove_branding=RemoveBranding(widget=removed))
    policy = Policy(settings=settings)
    await here.bus.kv_put(POLICY_KV, one.workspace, msgspec.json.encode(policy))
    status, told, headers = await ask(here, "GET", f"{path_of(one)}/config")
    assert (status, told["branding"]) == (200, not removed)
    assert not set(told) & {"origins", "offline_when"}  # what only the workspace is to know
    assert headers["Access-Control-Allow-Origin"] == "*"
    turned = Policy(settings=Settings(remove_branding=RemoveBranding(widget=not removed)))
    await here.bus.kv_put(POLICY_KV, one.workspace, msgspec.json.encode(turned))
    _, told, _ = await ask(here, "GET", f"{path_of(one)}/config")
    assert told["branding"] is (not removed)  # believed for a while
    monkeypatch.setattr(plugin_config, "SETTINGS_FOR_S", 0.0)
    _, told, _ = await ask(here, "GET", f"{path_of(one)}/config")
    assert told["branding"] is removed


SERVED = {
    "the page": ("/chat/{slug}", 200, "text/html"),
    "its script": ("/chat/_/chat.js", 200, "text/javascript"),
    "its style": ("/chat/_/chat.css", 200, "text/css"),
    "the page of nobody": ("/chat/nobody", 404, ""),
    "no account": ("/chat/", 404, ""),
    "another file": ("/chat/_/chat.py", 404, ""),
    "a file above": ("/chat/_/../app.py", 404, ""),
    "something below": ("/chat/{slug}/x", 404, ""),
}


@pytest.mark.parametrize(("path", "status", "kind"), SERVED.values(), ids=SERVED)
async def test_a20_the_page_is_served_with_a_strict_policy(
    here: Here,
    shop: Account,
    path: str,
    status: int,
    kind: str,
) -> None:
    got, body, headers = await ask(here, "GET", path.format(slug=shop.slug))
    assert got == status
    if status == 200:
        assert headers["Content-Type"].startswith(kind)
        if kind != "text/javascript":
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
        assert b"innerHTML" not in body
        assert b"<script>" not in body
        assert b"onclick=" not in body
    looked_at, nothing, of_head = await ask(here, "HEAD", path.format(slug=shop.slug))
    assert (looked_at, nothing) == (status, b"")  # as mail gateways look at links
    assert of_head.get("Content-Type") == headers.get("Content-Type")


async def test_an_open_stream_is_a_sign_of_life(
    here: Here,
    shop: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visitors, "SIGN_EVERY_S", 0.05)
    heard: list[str] = []
    stop = await here.bus.listen(
        f"rt.{shop.workspace}.visitor.{shop.slug}",
        lambda _, data: heard.append(msgspec.json.decode(data)["visitor"]),
    )
    await here.bus.connection.rtt()

    async def several() -> bool:
        return len(heard) >= 3

    visitor, token = await minted(here, shop)
    async with listening_page(here, shop, token):
        await until(several, "three signs of life")
    assert set(heard) == {visitor}
    await stop()

"""Without proof nothing is stored, one counter rises, and the answer is exact (I8, I11)."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from collections.abc import Callable

import msgspec
import pytest

from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.simulate.signing import handshake
from tests.ingest.harness import (
    ALL,
    MAX_BODY,
    META,
    Here,
    account,
    now,
    outcomes,
    path_of,
    raw_http,
    stored,
    webhook,
)

SIGNATURE_AT = {
    "line": "x-line-signature",
    "web": "authorization",
    "telegram": "x-telegram-bot-api-secret-token",
} | dict.fromkeys(META, "x-hub-signature-256")


def without(request: WebhookRequest, channel: str) -> WebhookRequest:
    return resigned(request, channel, lambda _: None)


def resigned(
    request: WebhookRequest, channel: str, change: Callable[[str], str | None]
) -> WebhookRequest:
    """Return *request* with its signature changed, wherever the channel carries it."""
    if channel == "wechat":
        query = dict(request.query)
        new = change(query.pop("signature"))
        return msgspec.structs.replace(request, query=query | ({"signature": new} if new else {}))
    headers = dict(request.headers)
    new = change(headers.pop(SIGNATURE_AT[channel]))
    if new is not None:
        headers[SIGNATURE_AT[channel]] = new
    return msgspec.structs.replace(request, headers=headers)


def flipped(text: str) -> str:
    """Change the last character that counts."""
    at = len(text.rstrip("=")) - 2
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def by_another(_request: WebhookRequest, channel: str) -> WebhookRequest:
    return webhook(account(channel), "m-1")


FORGED: dict[str, Callable[[WebhookRequest, str], WebhookRequest]] = {
    "no signature": without,
    "an empty signature": lambda r, c: resigned(r, c, lambda _: ""),
    "a signature off by one character": lambda r, c: resigned(r, c, flipped),
    "a signature cut short": lambda r, c: resigned(r, c, lambda s: s[:-6]),
    "a signature given twice": lambda r, c: resigned(r, c, lambda s: f"{s}, {s}"),
    "a signature that is no ASCII": lambda r, c: resigned(r, c, lambda s: s[:-1] + "é"),
    "a very long signature": lambda r, c: resigned(r, c, lambda s: s * 20),
    "the signature of another account": by_another,
}


@pytest.mark.parametrize("channel", ALL)
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_g1_forged(
    here: Here, channel: str, forge: Callable[[WebhookRequest, str], WebhookRequest]
) -> None:
    one = account(channel)
    here.connect(one)
    before = outcomes(channel)
    answer = await here.post(one, forge(webhook(one, "m-1"), channel))
    assert (answer.status, answer.body) == (401, b"the signature does not fit\n")
    assert await stored(here, one.workspace) == (0, 0)
    assert outcomes(channel) == before | {"bad_signature": before["bad_signature"] + 1}


@pytest.mark.parametrize("channel", [*META, "line"])
async def test_g1_a_changed_or_cut_body_is_forged(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    request = webhook(one, "m-1")
    for body in (request.body[:-1] + b" ", request.body[:-1], request.body + b"\n", b""):
        answer = await here.post(one, msgspec.structs.replace(request, body=body))
        assert answer.status == 401
    assert await stored(here, one.workspace) == (0, 0)


async def test_g1_only_the_documented_algorithm_counts(here: Here) -> None:
    one = account("messenger")
    here.connect(one)
    request = webhook(one, "m-1")
    secret = one.secrets["app_secret"].encode()
    sha1 = hmac.new(secret, request.body, hashlib.sha1).hexdigest()
    upper = request.headers["x-hub-signature-256"].upper()
    for headers in (
        {"x-hub-signature": f"sha1={sha1}"},
        {"x-hub-signature-256": f"sha1={sha1}"},
        {"x-hub-signature-256": upper},
    ):
        answer = await here.post(one, msgspec.structs.replace(request, headers=headers))
        assert answer.status == 401


@pytest.mark.parametrize("channel", ALL)
async def test_an_account_without_its_secret_accepts_nothing(here: Here, channel: str) -> None:
    one = account(channel)
    empty = dict.fromkeys(one.secrets, "")
    here.connect(msgspec.structs.replace(one, secrets=empty))
    answer = await here.post(one, webhook(one, "m-1"))
    assert answer.status == 401
    assert await stored(here, one.workspace) == (0, 0)


def plain(request: WebhookRequest) -> WebhookRequest:
    return request


def sized(size: int) -> Callable[[WebhookRequest], WebhookRequest]:
    return lambda request: msgspec.structs.replace(request, body=b"x" * size)


def compressed(name: str) -> Callable[[WebhookRequest], WebhookRequest]:
    return lambda request: msgspec.structs.replace(
        request,
        body=gzip.compress(request.body),
        headers={**request.headers, "content-encoding": name},
    )


UNUSABLE: dict[str, tuple[Callable[[WebhookRequest], WebhookRequest], str, int, str]] = {
    "too large": (sized(MAX_BODY + 1), "POST", 413, "too_large"),
    "gzip": (compressed("gzip"), "POST", 415, "compressed"),
    "deflate": (compressed("deflate"), "POST", 415, "compressed"),
    "br": (compressed("br"), "POST", 415, "compressed"),
    "two encodings": (compressed("gzip, gzip"), "POST", 415, "compressed"),
    "PUT": (plain, "PUT", 405, "wrong_method"),
    "DELETE": (plain, "DELETE", 405, "wrong_method"),
    "PATCH": (plain, "PATCH", 405, "wrong_method"),
    "HEAD": (plain, "HEAD", 405, "wrong_method"),
    "TRACE": (plain, "TRACE", 405, "wrong_method"),
}


@pytest.mark.parametrize("channel", ALL)
@pytest.mark.parametrize(("make", "method", "status", "outcome"), UNUSABLE.values(), ids=UNUSABLE)
async def test_f_unusable(
    here: Here,
    channel: str,
    make: Callable[[WebhookRequest], WebhookRequest],
    method: str,
    status: int,
    outcome: str,
) -> None:
    one = account(channel)
    here.connect(one)
    before = outcomes(channel)
    answer = await here.send(path_of(one), make(webhook(one, "m-1")), method=method)
    assert answer.status == status
    assert await stored(here, one.workspace) == (0, 0)
    assert outcomes(channel) == before | {outcome: before[outcome] + 1}
    if status == 405:
        assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("channel", ["line", "web"])
async def test_there_is_no_handshake_where_the_provider_has_none(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    answer = await here.send(path_of(one), webhook(one, "m-1"), method="GET")
    assert answer.status == 405


@pytest.mark.parametrize("channel", ALL)
async def test_unknown_and_disabled_accounts_look_the_same(here: Here, channel: str) -> None:
    one, off = account(channel), account(channel)
    here.connect(off, enabled=False)
    answers = [await here.post(a, webhook(a, "m-1")) for a in (one, off)]
    assert [(a.status, a.body) for a in answers] == [(404, b"there is no such webhook\n")] * 2
    assert await stored(here, off.workspace) == (0, 0)


async def test_an_account_answers_at_its_own_endpoint_only(here: Here) -> None:
    line, wechat = account("line"), account("wechat")
    here.connect(line, wechat)
    for path in (f"/webhooks/wechat/{line.slug}", f"/webhooks/meta/{line.slug}"):
        assert (await here.send(path, webhook(line, "m-1"))).status == 404
    assert await stored(here, line.workspace) == (0, 0)


async def test_while_the_accounts_are_not_known_yet_nobody_is_turned_away_for_good(
    here: Here,
) -> None:
    one = account("line")
    here.reach.directory.complete.clear()
    answer = await here.post(one, webhook(one, "m-1"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


PATHS = {
    "/": 404,
    "/webhooks": 404,
    "/webhooks/": 404,
    "/webhooks/line": 404,
    "/webhooks/line/": 404,
    "/webhooks/telegram/x": 404,
    "/webhooks/line/x/y": 404,
    "//webhooks/line/x": 404,
    "/webhooks//line/x": 404,
    "/webhooks/line/%00": 404,
    "/webhooks/line/%ff": 404,
    "/webhooks/line/..%2f..%2fmeta": 404,
    "/webhooks/%2e%2e/line/x": 404,
    "/metrics": 404,
    "/readyz": 404,
    "/webhooks/line/x?" + "q=1&" * 1500: 404,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_f10_wrong_paths(here: Here, path: str, method: str) -> None:
    answer = await raw_http(here, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n")
    assert answer.status in {PATHS[path], 405}
    assert b"Traceback" not in answer.body


HANDSHAKES = [c for c in ALL if CHANNELS[c].challenge is not None]


@pytest.mark.parametrize("channel", HANDSHAKES)
async def test_g4_handshake(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    answer = await here.send(path_of(one), handshake(one, now=now(), echo="4711<b>"))
    assert (answer.status, answer.body) == (200, b"4711<b>")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


BROKEN: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "nothing at all": lambda _: {},
    "a wrong token": lambda q: q | {"hub.verify_token": "wrong", "signature": "0" * 40},
    "an empty token": lambda q: q | {"hub.verify_token": "", "signature": ""},
    "no challenge": lambda q: {k: v for k, v in q.items() if k not in {"hub.challenge", "echostr"}},
    "an endless challenge": lambda q: {
        k: "1" * 3000 if k in {"hub.challenge", "echostr"} else v for k, v in q.items()
    },
}


@pytest.mark.parametrize("channel", HANDSHAKES)
@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
async def test_g4_a_wrong_handshake_is_refused(
    here: Here, channel: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    one = account(channel)
    here.connect(one)
    good = handshake(one, now=now())
    asked = msgspec.structs.replace(good, query=change(dict(good.query)))
    answer = await here.send(path_of(one), asked)
    assert (answer.status, answer.body) == (403, b"the handshake is refused\n")

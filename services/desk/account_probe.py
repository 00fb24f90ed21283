"""Testing a connected account: its secrets, its address from outside, and what its provider says.

The steps run at the same time, each within its own time, so that an answer comes within ten
seconds. Nothing changes by it: what goes through the front door is signed as the provider's own,
and in it nothing happens.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.errors import BadSignatureError, GatewayError
from libs.common.guides import GUIDES
from libs.common.http import Door
from libs.common.probes import handshake_probe, webhook_probe, who_call, who_is
from libs.common.targets import AllowedBase, allowed_base, origin_of, parsed
from services.desk.api.account_body import AccountCheck

CALL_S = 3.0
"""Seconds for one call."""
AGAIN_S = (0.5, 1.0)
"""Seconds before another try: ingest hears of an account that was changed just now."""
WHOLE_S = 9.0
WEB = "web"
"""We are its provider: it has no token, and nobody to ask."""
_OK = 200
_NOT_YET = frozenset({403, 404})
_LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


class Asked(NamedTuple):
    """What is tested: the account with its secrets opened, and where it is reached."""

    account: Account
    url: str
    token_expires_at: datetime | None
    now: datetime


async def checks(door: Door, asked: Asked) -> list[AccountCheck]:
    """Return what each step found, in the order in which they are read."""
    found = [*_plain(asked)]
    steps: list[tuple[str, Callable[[Door, Asked], Awaitable[AccountCheck | None]]]] = [
        ("handshake", _handshake),
        ("webhook", _webhook),
        ("provider", _provider),
    ]
    bounded = (_bounded(name, step(door, asked)) for name, step in steps)
    return [*found, *(one for one in await asyncio.gather(*bounded) if one is not None)]


async def _bounded(code: str, step: Awaitable[AccountCheck | None]) -> AccountCheck | None:
    try:
        async with asyncio.timeout(WHOLE_S):
            return await step
    except TimeoutError:
        return _check(code, "failed", "There was no answer in time.", "no_answer")


def _check(code: str, result: str, words: str, reason: str = "", advice: str = "") -> AccountCheck:
    made = {"code": code, "result": result, "words": words, "reason": reason, "advice": advice}
    return msgspec.convert(made, AccountCheck)


# --- what can be seen from here ------------------------------------------------------------------


def _plain(asked: Asked) -> Iterator[AccountCheck]:
    if not asked.account.enabled:
        yield _check(
            "enabled",
            "failed",
            "The account is switched off.",
            "disabled",
            "Switch it on: until then its webhooks are refused and nothing is sent.",
        )
    yield _secrets(asked.account)
    if asked.account.channel != WEB:
        yield _token(asked)
    yield _public(asked.url)


def _secrets(account: Account) -> AccountCheck:
    lacking = [name for name in CHANNELS[account.channel].secrets if not account.secrets.get(name)]
    if lacking:
        words = f"{', '.join(lacking)} cannot be read."
        return _check("secrets", "failed", words, "absent", "Enter them again.")
    odd = [name for name, _ in _unlike(account, strict=True)]
    if odd:
        words = f"{', '.join(odd)} cannot be right: it has another form."
        return _check("secrets", "failed", words, "wrong_form", "Copy it from the provider again.")
    unusual = [name for name, _ in _unlike(account, strict=False)]
    if unusual:
        words = f"{', '.join(unusual)} does not look as such a secret usually does."
        advice = "Compare it with the provider's console; it may be right all the same."
        return _check("secrets", "unknown", words, "unusual_form", advice)
    return _check("secrets", "ok", "All that are needed are set, and look right.")


def _unlike(account: Account, *, strict: bool) -> Iterator[tuple[str, str]]:
    """Yield the secrets that do not look as they should."""
    for one in GUIDES[account.channel].secrets:
        text = account.secrets.get(one.name, "")
        odd = text and one.pattern and not re.fullmatch(one.pattern, text)
        if odd and one.strict is strict:
            yield one.name, one.pattern


def _token(asked: Asked) -> AccountCheck:
    ends = asked.token_expires_at
    if ends is None:
        return _check("token", "unknown", "When the access token ends is not known.", "not_told")
    if ends <= asked.now:
        words = f"The access token ended at {ends:%Y-%m-%d %H:%M} UTC."
        return _check("token", "failed", words, "expired", "Enter a new access token.")
    return _check("token", "ok", f"The access token is good until {ends:%Y-%m-%d %H:%M} UTC.")


def _public(url: str) -> AccountCheck:
    if not url:
        words = "This installation does not know the address that it is reached by."
        advice = "Set RELAYDESK_PUBLIC_URL to its https address."
        return _check("public_url", "unknown", words, "not_set", advice)
    parts = urlsplit(url)
    if parts.scheme != "https" or (parts.hostname or "") in _LOCAL:
        words = "No provider can post here: they need an https address in the public internet."
        advice = "Set RELAYDESK_PUBLIC_URL to one, by a proxy or a tunnel that ends TLS."
        return _check("public_url", "failed", words, "not_public", advice)
    return _check("public_url", "ok", "The address is one that providers take.")


# --- through the front door ----------------------------------------------------------------------


async def _handshake(door: Door, asked: Asked) -> AccountCheck | None:
    echo = secrets.token_hex(8)
    request = _made(asked, lambda: handshake_probe(asked.account, now=asked.now, echo=echo))
    if isinstance(request, AccountCheck) or request is None:
        return request and msgspec.structs.replace(request, code="handshake")
    reply = await _knocked(door, asked, request)
    if isinstance(reply, AccountCheck):
        return msgspec.structs.replace(reply, code="handshake")
    if reply.status == _OK and reply.body.decode("utf-8", "replace").strip() == echo:
        return _check("handshake", "ok", "The provider's check of the address is answered rightly.")
    return _refused("handshake", reply)


async def _webhook(door: Door, asked: Asked) -> AccountCheck | None:
    request = _made(asked, lambda: webhook_probe(asked.account, now=asked.now))
    if isinstance(request, AccountCheck) or request is None:
        return request
    reply = await _knocked(door, asked, request)
    if isinstance(reply, AccountCheck):
        return reply
    if reply.status == _OK:
        return _check("webhook", "ok", "A webhook, signed as the provider's, was taken.")
    return _refused("webhook", reply)


def _made(
    asked: Asked, make: Callable[[], WebhookRequest | None]
) -> WebhookRequest | AccountCheck | None:
    try:
        request = make()
    except (BadSignatureError, ValueError):
        words = "The secret that signs webhooks cannot be used."
        return _check("webhook", "failed", words, "unsigned", "Enter it again.")
    if request is not None and not asked.url:
        words = "Not tried: this installation does not know its own address."
        return _check("webhook", "unknown", words, "not_set")
    return request


async def _knocked(door: Door, asked: Asked, request: WebhookRequest) -> HttpReply | AccountCheck:
    """Return how the front door answers, once ingest has had time to hear of the account."""
    query = f"?{urlencode(dict(request.query))}" if request.query else ""
    call = HttpCall(
        url=asked.url + query, method=request.method, headers=request.headers, body=request.body
    )
    try:
        # what the operator set as our own address may lie inside
        allow = AllowedBase(origin_of(parsed(asked.url)), inside=True)
        reply = await door.perform(call, timeout_s=CALL_S, allow=allow)
        for wait in AGAIN_S if asked.account.enabled else ():
            if reply.status not in _NOT_YET:
                break
            await asyncio.sleep(wait)
            reply = await door.perform(call, timeout_s=CALL_S, allow=allow)
    except GatewayError as error:
        words = "Nobody answers at the account's address."
        advice = "See that RELAYDESK_PUBLIC_URL leads to this installation, also from itself."
        return _check("webhook", "failed", words, error.code, advice)
    return reply


def _refused(code: str, reply: HttpReply) -> AccountCheck:
    words = f"The address answers {reply.status}."
    advice = {
        401: "The signature is not taken: a proxy may change the body or drop headers.",
        403: "It is refused: a proxy may drop the query, or the account is not known there yet.",
        404: "The account is not known there: it may be switched off, or the address be another's.",
        503: "Nothing could store it: see that NATS is there.",
    }.get(reply.status, "See that RELAYDESK_PUBLIC_URL leads to this installation's front door.")
    return _check(code, "failed", words, f"status_{reply.status}", advice)


# --- the provider --------------------------------------------------------------------------------


async def _provider(door: Door, asked: Asked) -> AccountCheck | None:
    account = asked.account
    if account.channel == WEB:
        return None
    try:
        call = who_call(account)
        if call is None:
            words = "The provider has no call that would tell without an effect."
            return _check("provider", "unknown", words, "no_call")
        allow = allowed_base(account.api_base)
        reply = await door.perform(call, timeout_s=CALL_S, allow=allow)
    except GatewayError as error:
        words = "The provider could not be asked."
        advice = "See that this installation may call out to the internet."
        return _check("provider", "unknown", words, error.code, advice)
    return _told(account, reply)


def _told(account: Account, reply: HttpReply) -> AccountCheck:
    who = who_is(account, reply)
    if who is None or not (who.refused or who.id):
        words = f"The provider answered {reply.status}, which says nothing of the account."
        return _check("provider", "unknown", words, f"status_{reply.status}")
    if who.refused:
        words = "The provider refuses the access token."
        return _check("provider", "failed", words, "credential", "Enter a new access token.")
    if who.id != account.external_id:
        words = f"The access token is of {who.id[:60]}, not of {account.external_id}."
        advice = "Connect the account that the token is of, or enter this one's token."
        return _check("provider", "failed", words, "other_account", advice)
    return _check("provider", "ok", "The provider knows the account by its access token.")

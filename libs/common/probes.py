"""Asking whether an account is connected rightly, by requests that change nothing.

Sources: Meta for Developers, "Graph API: /me" and "WhatsApp: phone numbers"; LINE Developers, "Get
bot info"; Telegram Bot API, "getMe" (read 2026-09). All of them only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.channels.instagram import outbound as instagram
from libs.common.channels.line import calls as line
from libs.common.channels.telegram import calls as telegram
from libs.common.empty_webhooks import empty_body
from libs.common.outgoing import credential
from libs.common.providers import graph
from libs.common.simulate.signing import handshake, signed

_OK = 200
_REFUSED = frozenset({401, 403})


def webhook_probe(account: Account, *, now: datetime) -> WebhookRequest | None:
    """Return a signed webhook in which nothing happens; None where the channel has none.

    Raises:
        BadSignatureError: The account lacks the secret that signs.
    """
    body = empty_body(account)
    return None if body is None else signed(account, body, now=now)


def handshake_probe(account: Account, *, now: datetime, echo: str) -> WebhookRequest | None:
    """Return the provider's check of the address; None where the channel has none.

    Raises:
        BadSignatureError: The account lacks the secret that proves it.
    """
    if CHANNELS[account.channel].challenge is None:
        return None
    return handshake(account, now=now, echo=echo)


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider answered: `refused` the credential, or whose it is; empty: it says not."""

    refused: bool = False
    id: str = ""


def who_call(account: Account) -> HttpCall | None:
    """Return the call that asks whose credential it is; None where there is no harmless one.

    Raises:
        CredentialError: The account lacks it.
    """
    make = _CALLS.get(account.channel)
    return make(account) if make else None


def who_is(account: Account, reply: HttpReply) -> Who | None:
    """Return what *reply* says; None where it says nothing, as in trouble of the provider's."""
    said = _said(reply.body)
    if reply.status in _REFUSED or _token_error(said):
        return Who(refused=True)
    if reply.status != _OK:
        return None
    inner = said.get("result")
    found = inner if isinstance(inner, dict) else said
    names = {"line": ("userId",), "instagram": ("user_id", "id")}.get(account.channel, ("id",))
    known = (str(found[name]) for name in names if found.get(name))
    return Who(id=next(known, ""))


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _token_error(said: Mapping[str, Any]) -> bool:
    """Tell whether Meta says that the token is the reason: it answers 400 then."""
    error = said.get("error")
    return isinstance(error, dict) and error.get("type") == "OAuthException"


def _got(url: str, headers: Mapping[str, str]) -> HttpCall:
    return HttpCall(method="GET", url=url, headers=headers, harmless=True)


def _page(account: Account) -> HttpCall:
    return _graph(account, graph.HOST, "me", "id,name")


def _instagram(account: Account) -> HttpCall:
    page = account.secrets.get("page_id", "")
    if page:
        node = quote(account.external_id, safe="")
        return _graph(account, graph.HOST, node, "id,username")
    return _graph(account, instagram.HOST, "me", "user_id,username")


def _whatsapp(account: Account) -> HttpCall:
    node = quote(account.external_id, safe="")
    return _graph(account, graph.HOST, node, "id,display_phone_number")


def _graph(account: Account, host: str, node: str, fields: str) -> HttpCall:
    start = account.api_base.rstrip("/") or host
    token = credential(account, "access_token")
    url = f"{start}/{graph.VERSION}/{node}?fields={fields}"
    return _got(url, {"authorization": f"Bearer {token}"})


def _line(account: Account) -> HttpCall:
    return _got(f"{line.host(account)}/v2/bot/info", line.bearer(account))


def _telegram(account: Account) -> HttpCall:
    return telegram.call(account, "getMe", {}, harmless=True)


_CALLS: Mapping[str, Callable[[Account], HttpCall]] = {
    "messenger": _page,
    "fb_comment": _page,
    "instagram": _instagram,
    "whatsapp": _whatsapp,
    "line": _line,
    "telegram": _telegram,
}
"""WeChat is not asked: each fetch of a token may end the one in use."""

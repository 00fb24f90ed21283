"""Requests as each provider would send and sign them, for tests and `relaydesk simulate`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.web.wire import mint
from libs.common.channels.wechat.envelope import RANDOM_BYTES, encrypt, signature
from libs.common.channels.wechat.occurrence import app_id_of
from libs.common.simulate.plugged import simulated


class _Said(msgspec.Struct):
    visitor: str = "visitor-1"


_JSON = {"content-type": "application/json"}


def signed(account: Account, body: bytes, *, now: datetime) -> WebhookRequest:
    """Return the POST by which the provider of *account* would deliver *body* at *now*.

    Headers, query and, for an encrypted WeChat account, the body are the provider's; the same
    arguments give the same request. A web request carries the token of the visitor that the
    body's `visitor` names (the gateway itself never believes it), or else of `visitor-1`.

    Raises:
        BadSignatureError: The account lacks the secret that signs.
        ValueError: The body's `visitor` cannot be one.
        KeyError: Nobody signs for the account's channel.
    """
    own = None if account.channel in _SIGNERS else simulated(account.channel)
    sign = own.sign if own else _SIGNERS[account.channel]
    request: WebhookRequest = sign(account, body, now)
    return request


def handshake(account: Account, *, now: datetime, echo: str = "1158201444") -> WebhookRequest:
    """Return the GET by which the account's provider would check the webhook's URL.

    Raises:
        BadSignatureError: The account lacks the secret that proves it.
        KeyError: The channel has no handshake.
    """
    return _HANDSHAKES[account.channel](account, now, echo)


def _meta(account: Account, body: bytes, now: datetime) -> WebhookRequest:
    proof = hmac.digest(account.secret("app_secret").encode(), body, "sha256").hex()
    return _posted(body, now, headers={**_JSON, "x-hub-signature-256": f"sha256={proof}"})


def _line(account: Account, body: bytes, now: datetime) -> WebhookRequest:
    proof = hmac.digest(account.secret("channel_secret").encode(), body, "sha256")
    return _posted(
        body, now, headers={**_JSON, "x-line-signature": base64.b64encode(proof).decode()}
    )


def _telegram(account: Account, body: bytes, now: datetime) -> WebhookRequest:
    header = "x-telegram-bot-api-secret-token"
    return _posted(body, now, headers={**_JSON, header: account.secret("secret_token")})


def _web(account: Account, body: bytes, now: datetime) -> WebhookRequest:
    token = mint(account, _speaker(body), int(now.timestamp()))
    return _posted(body, now, headers={**_JSON, "authorization": f"Bearer {token}"})


def _speaker(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Said).visitor
    except (ValueError, RecursionError):
        return _Said().visitor


def _wechat(account: Account, body: bytes, now: datetime) -> WebhookRequest:
    query = _wechat_query(account, now, body)
    is_json = body.lstrip()[:1] == b"{"
    headers = _JSON if is_json else {"content-type": "text/xml"}
    key = account.secrets.get("aes_key", "")
    if not key:
        return _posted(body, now, headers=headers, query=query)
    random = hashlib.sha256(body).digest()[:RANDOM_BYTES]
    sealed = encrypt(key, body, app_id=app_id_of(account), random=random)
    envelope = _wechat_json if is_json else _wechat_xml
    query |= {
        "encrypt_type": "aes",
        "msg_signature": signature(
            account.secret("token"), query["timestamp"], query["nonce"], sealed
        ),
    }
    return _posted(envelope(account, sealed), now, headers=headers, query=query)


def _wechat_query(account: Account, now: datetime, about: bytes) -> dict[str, str]:
    timestamp = str(int(now.timestamp()))
    nonce = str(int.from_bytes(hashlib.sha256(about).digest()[:4], "big"))
    return {
        "signature": signature(account.secret("token"), timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
    }


def _wechat_xml(account: Account, sealed: str) -> bytes:
    to = account.external_id
    return (
        f"<xml><ToUserName><![CDATA[{to}]]></ToUserName>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    ).encode()


def _wechat_json(account: Account, sealed: str) -> bytes:
    return msgspec.json.encode({"ToUserName": account.external_id, "Encrypt": sealed})


def _posted(
    body: bytes, now: datetime, *, headers: dict[str, str], query: dict[str, str] | None = None
) -> WebhookRequest:
    return WebhookRequest(
        method="POST", headers=headers, query=query or {}, body=body, received_at=now
    )


def _asked(now: datetime, query: dict[str, str]) -> WebhookRequest:
    return WebhookRequest(method="GET", headers={}, query=query, body=b"", received_at=now)


def _wechat_handshake(account: Account, now: datetime, echo: str) -> WebhookRequest:
    return _asked(now, {**_wechat_query(account, now, echo.encode()), "echostr": echo})


def _meta_handshake(account: Account, now: datetime, echo: str) -> WebhookRequest:
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": account.secret("verify_token"),
        "hub.challenge": echo,
    }
    return _asked(now, query)


_SIGNERS: dict[str, Callable[[Account, bytes, datetime], WebhookRequest]] = {
    "messenger": _meta,
    "fb_comment": _meta,
    "instagram": _meta,
    "whatsapp": _meta,
    "line": _line,
    "wechat": _wechat,
    "web": _web,
    "telegram": _telegram,
}

_HANDSHAKES: dict[str, Callable[[Account, datetime, str], WebhookRequest]] = {
    "messenger": _meta_handshake,
    "fb_comment": _meta_handshake,
    "instagram": _meta_handshake,
    "whatsapp": _meta_handshake,
    "wechat": _wechat_handshake,
}

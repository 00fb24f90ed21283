"""WeChat's server messages: the handshake, the proof of origin, and what they say in our words.

Source: WeChat Official Account documentation, "Access guide", "Receiving standard messages",
"Receiving event pushes", read 2026-10.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.wechat.content import is_tap, parts_of
from libs.common.channels.wechat.envelope import decrypt, is_signed
from libs.common.channels.wechat.happenings import HAPPENINGS
from libs.common.channels.wechat.occurrence import (
    Occurrence,
    app_id_of,
    kind_of,
    message_id_of,
    occurrence,
)
from libs.common.channels.wechat.wire import Fields, encrypted_part, fields_of
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import InboundEvent, MessageReceived, Unparsed
from libs.common.items import UnknownKindError
from libs.common.providers.normal import EPOCH, key, moment, unparsed

OLDEST_S = 600
"""Seconds that a signed timestamp may differ from the arrival, either way."""


def challenge(accounts: Sequence[Account], request: WebhookRequest) -> bytes:
    """Answer the GET by which the console checks the URL: `echostr`, unchanged.

    The signature covers token, timestamp and nonce, in every message mode.

    Raises:
        BadSignatureError: Signed by none of *accounts*, too old, or without an `echostr`.
    """
    echo = request.query.get("echostr", "")
    if not echo or not any(_is_from(account, request) for account in accounts):
        raise BadSignatureError("not a signed handshake")
    _refuse_old(request)
    return echo.encode(errors="replace")


def verify(account: Account, request: WebhookRequest) -> None:
    """Return only if WeChat signed this request.

    With an `aes_key` the signature must be `msg_signature` over the ciphertext: a plain message
    is refused, and of a compatible one only the encrypted part is looked at. Without, `signature`
    proves that the sender knows the token and **does not cover the body**: the README tells what
    to do about it.

    Raises:
        BadSignatureError: Absent, wrong, more than ten minutes off, or the account has no token.
    """
    if account.secrets.get("aes_key"):
        proven = _is_sealed_by(account, request)
    else:
        proven = _is_from(account, request)
    if not proven:
        raise BadSignatureError("the signature does not match")
    _refuse_old(request)


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn the one message of a body into an event.

    Raises:
        MalformedPayloadError: No key opens it, it is sealed for another app, or it is neither XML
            nor JSON.
    """
    body = _plain_body(account, request.body)
    fields = fields_of(body)
    known = account.external_id
    if known.startswith("gh_") and fields.get("tousername", known) != known:
        return Parsed(ignored=1)
    return Parsed(events=(_translate(fields, body),))


def _is_from(account: Account, request: WebhookRequest) -> bool:
    query = request.query
    signed = (account.secret("token"), query.get("timestamp", ""), query.get("nonce", ""))
    return all(signed) and is_signed(query.get("signature", ""), *signed)


def _is_sealed_by(account: Account, request: WebhookRequest) -> bool:
    query = request.query
    ciphertext = encrypted_part(request.body)
    token = account.secret("token")
    signed = (token, query.get("timestamp", ""), query.get("nonce", ""), ciphertext)
    return all(signed) and is_signed(query.get("msg_signature", ""), *signed)


def _refuse_old(request: WebhookRequest) -> None:
    if request.received_at is None:
        return
    signed_at = moment(request.query.get("timestamp")) or EPOCH
    if abs((request.received_at - signed_at).total_seconds()) > OLDEST_S:
        raise BadSignatureError("the signature is too old")


def _plain_body(account: Account, body: bytes) -> bytes:
    key = account.secrets.get("aes_key", "")
    if not key:
        return body
    ciphertext = encrypted_part(body)
    app_id = app_id_of(account)
    previous = account.secrets.get("aes_key_previous", "")
    if previous:
        try:
            return decrypt(key, ciphertext, app_id=app_id)
        except MalformedPayloadError:
            key = previous  # sealed before the key was changed
    return decrypt(key, ciphertext, app_id=app_id)


def _translate(fields: Fields, body: bytes) -> InboundEvent:
    try:
        return _happening(fields) if kind_of(fields) == "event" else _message(fields)
    except UnknownKindError:
        return _kept(fields, body, unknown=True)
    except MalformedPayloadError:
        return _kept(fields, body, unknown=False)


def _message(fields: Fields) -> InboundEvent:
    return MessageReceived(
        **_start(fields),
        message_id=message_id_of(fields),
        parts=parts_of(fields),
        brief=is_tap(fields),
    )


def _happening(fields: Fields) -> InboundEvent:
    build = HAPPENINGS.get(fields.get("event", "").lower())
    if build is None:
        raise UnknownKindError("unknown event")
    _start(fields)
    return build(fields)


def _start(fields: Fields) -> Occurrence:
    if not fields.get("fromusername"):
        raise MalformedPayloadError("no sender")
    return occurrence(fields)


def _kept(fields: Fields, body: bytes, *, unknown: bool) -> Unparsed:
    start = occurrence(fields)
    return unparsed(
        key("unparsed", start["event_id"]),
        body,
        "unknown_kind" if unknown else "malformed_item",
        visitor=start["visitor"],
        occurred_at=start["occurred_at"],
    )

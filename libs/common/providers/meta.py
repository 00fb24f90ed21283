"""What Meta's products share on the way in: signature, handshake, addressees.

Source: Meta for Developers, "Webhooks: getting started" (read 2026-09): HMAC-SHA256 over the raw
body with the app secret, lower-case hex behind `sha256=`. Meta escapes non-ASCII before it
signs, so the received bytes are hashed and nothing is ever serialised again.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

import msgspec

from libs.common.channel import Account, WebhookRequest
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.providers.envelope import (
    Change,
    Entry,
    Envelope,
    Lost,
    open_change,
    open_container,
    read,
)
from libs.common.providers.normal import Id, ident

ENDPOINT = "meta"
SECRETS = ("app_secret", "verify_token", "access_token")
OPTIONAL_SECRETS = ("app_id",)
"""Not secret: with it and the app secret Meta tells when the access token ends."""
ACCEPTED = b"EVENT_RECEIVED"
COMMENT_FIELDS = frozenset({"feed", "mention"})
CHALLENGE_LENGTH = 512
DAY_S = 24 * 3600.0

_SIGNATURE = "x-hub-signature-256"
_DIRECT = {"page": "messenger", "instagram": "instagram"}
_WHATSAPP = "whatsapp_business_account"


def verify(account: Account, request: WebhookRequest) -> None:
    """Return only if Meta signed exactly these bytes with the app's secret; takes constant time.

    Raises:
        BadSignatureError: The header is absent or wrong, or the account has no `app_secret`.
    """
    secret = account.secret("app_secret").encode("utf-8", "surrogatepass")
    given = request.headers.get(_SIGNATURE, "").encode("utf-8", "surrogatepass")
    expected = f"sha256={hmac.digest(secret, request.body, 'sha256').hex()}".encode()
    if not hmac.compare_digest(expected, given):
        raise BadSignatureError(f"{_SIGNATURE} does not match the body")


def challenge(accounts: Sequence[Account], request: WebhookRequest) -> bytes:
    """Return `hub.challenge` if the caller knows the verify token of one of *accounts*.

    Every token is compared, whichever matches, so that time tells nothing.

    Raises:
        BadSignatureError: No token matches, the mode is not `subscribe`, or the challenge is
            empty, longer than 512 characters or not printable ASCII. Answer 403.
    """
    given = request.query.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
    known = False
    for account in accounts:
        token = account.secrets.get("verify_token", "").encode("utf-8", "surrogatepass")
        known |= bool(token) and hmac.compare_digest(token, given)
    if not known or request.query.get("hub.mode") != "subscribe":
        raise BadSignatureError("handshake refused")
    answer = request.query.get("hub.challenge", "")
    if not 0 < len(answer) <= CHALLENGE_LENGTH or not (answer.isascii() and answer.isprintable()):
        raise BadSignatureError("handshake without a usable challenge")
    return answer.encode()


def addressees(request: WebhookRequest) -> frozenset[tuple[str, str]]:
    """Return `(channel, external_id)` of everything that a verified body speaks of.

    Entries of a page go to `messenger`, its `feed` and `mention` changes to `fb_comment`; a change
    of a WhatsApp Business Account to its phone number's id, or to `waba:<id>` where it concerns
    the business account as a whole; `instagram` entries to `instagram`.

    Raises:
        MalformedPayloadError: Not an envelope, even leniently read.
    """
    envelope = read(request.body)
    return frozenset(_named(envelope))


def _named(envelope: Envelope) -> Iterator[tuple[str, str]]:
    if envelope.object == _WHATSAPP:
        for entry in envelope.entries:
            for raw in entry.changes or ():
                yield "whatsapp", phone_of(entry, open_change(raw))
        yield from (("whatsapp", waba_of(lost)) for lost in envelope.lost if lost.id is not None)
    elif envelope.object in _DIRECT:
        direct = _DIRECT[envelope.object]
        for entry in envelope.entries:
            external_id = _entry_id(entry)
            if external_id and (entry.messaging or entry.standby):
                yield direct, external_id
            if external_id and entry.changes:
                yield from ((_page_channel(raw, direct), external_id) for raw in entry.changes)
        yield from (_lost_at(lost, direct) for lost in envelope.lost if lost.id is not None)


def _entry_id(entry: Entry) -> str:
    try:
        return ident(entry.id)
    except MalformedPayloadError:
        return ""


def _page_channel(raw: msgspec.Raw, direct: str) -> str:
    comments = direct == "messenger" and open_change(raw).field in COMMENT_FIELDS
    return "fb_comment" if comments else direct


def _lost_at(lost: Lost, direct: str) -> tuple[str, str]:
    comments = direct == "messenger" and lost.name == "changes"
    return "fb_comment" if comments else direct, str(lost.id)


class _Phone(msgspec.Struct):
    phone_number_id: Id = None


class _Business(msgspec.Struct):
    waba_id: Id = None


class _Head(msgspec.Struct):
    """Where a WhatsApp change is addressed to; handovers say `recipient` instead of `metadata`."""

    metadata: _Phone | None = None
    recipient: _Phone | None = None
    waba_info: _Business | None = None


_head = msgspec.json.Decoder(_Head)


def waba_of(entry: Entry | Lost) -> str:
    """Return the external id under which news of a whole WhatsApp Business Account are kept."""
    return f"waba:{entry.id}"


def phone_of(entry: Entry, change: Change) -> str:
    """Return the external id of the account that a WhatsApp change belongs to.

    The phone number's id, or `waba:<id>` where there is none: template, account and other
    business-wide fields, and what cannot be read. `account_update` of type PARTNER_* has a
    portfolio as its entry and names the business account inside.
    """
    try:
        head, _ = open_container(_head, change.value)
        for phone in (head.metadata, head.recipient):
            if phone is not None and phone.phone_number_id:
                return ident(phone.phone_number_id)
        if head.waba_info is not None and head.waba_info.waba_id:
            return f"waba:{ident(head.waba_info.waba_id)}"
    except MalformedPayloadError:
        pass
    return waba_of(entry)

"""The web plugin's own protocol: visitor tokens, what a page posts, what its stream carries.

The names are ours and final; the README describes them for whoever writes another widget.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from libs.common.channel import Account
from libs.common.errors import BadSignatureError
from libs.common.events import ContentPart

C = TypeVar("C", bound="Claims")

_VISITOR = re.compile(r"[A-Za-z0-9_-]{1,128}")

ClientId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
"""Drawn by the page for each message and kept with it, so that a repeat is recognised."""

UPLOAD_MOST_BYTES = 10 * 1024 * 1024
"""The largest file that a visitor may send."""

FileKind = Literal["image", "audio", "video", "file"]
FileSize = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class SignOfLife(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor is there: shouted on `subjects.visitor_signs` and kept nowhere."""

    account: str
    visitor: str
    at: datetime
    typing: bool = False


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a visitor token says: visitor id, account slug, issued at (seconds).

    `e` is until when it is good (seconds); 0: for ever.
    """

    v: str
    a: str
    i: int
    e: int = 0


class ReturnClaims(Claims, frozen=True, kw_only=True):
    """What a return link says besides: of which session. It ends always."""

    e: int
    s: str


RETURN_LIFE_S = 30 * 24 * 3600
_RETURN = "return:"
"""Begins what is signed of a return link, so that neither token passes for the other."""

_CLAIMS = msgspec.json.Decoder(Claims)
_RETURNS = msgspec.json.Decoder(ReturnClaims)


class ExpiredLinkError(BadSignatureError):
    """The return link is ours, and too old."""

    code = "link_expired"


class Head(msgspec.Struct):
    """Enough to file an item that is otherwise unreadable."""

    id: ClientId
    type: str = "text"


class Item(Head):
    """One thing the visitor did, by `type`.

    They wrote `text`, tapped a button (`action`), sent a file that was uploaded before (`media`,
    with `text` as its caption), or saw our messages (`read`).

    `at` is the page's own clock in milliseconds, hence not to be trusted. `up_to` is the `at` of
    the newest message seen, as the event stream told it, or milliseconds.
    """

    text: str = ""
    title: str = ""
    payload: str = ""
    at: int | float | None = None
    reply_to: str = ""
    attachment: str = ""
    kind: FileKind = "file"
    name: str = ""
    mime_type: str = ""
    size_bytes: FileSize | None = None
    up_to: str | int | float | None = None


class Visitor(msgspec.Struct):
    """What the visitor told about themselves, in a form before the conversation."""

    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""


class Page(msgspec.Struct):
    """Where the widget stands; `referrer` is the page before."""

    url: str = ""
    title: str = ""
    referrer: str = ""


class About(msgspec.Struct):
    """What a body says besides its messages; read one by one, as neither is worth a message."""

    profile: msgspec.Raw = msgspec.Raw()
    page: msgspec.Raw = msgspec.Raw()


class Batch(About, kw_only=True):
    """A posted body: several messages, as after a lost connection."""

    messages: list[msgspec.Raw]


class Single(About, kw_only=True):
    """A posted body that is one message itself."""

    id: msgspec.Raw


class VisitorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the visitor's event stream shows it, theirs and ours alike.

    `id` is ours for what we sent, and `<visitor>:<client id>` behind `web:` for what the page
    posted, so that a second tab shows it once. `agent` is a display name, empty for others.
    `reply_to` is the `id` of the message that it answers.
    """

    id: str
    at: datetime
    sender: Literal["visitor", "agent", "bot", "automation", "system"]
    parts: tuple[ContentPart, ...]
    agent: str = ""
    reply_to: str = ""


def mint(account: Account, visitor: str, issued_at: int, expires: int = 0) -> str:
    """Return the token of *visitor* on *account*; the same arguments give the same token.

    *issued_at* and *expires* are in seconds since 1970; 0: it never expires.

    Raises:
        ValueError: The visitor id is not 1 to 128 of `[A-Za-z0-9_-]`.
        BadSignatureError: The account has no `visitor_key`.
    """
    if _VISITOR.fullmatch(visitor) is None:
        raise ValueError("a visitor id is 1 to 128 of [A-Za-z0-9_-]")
    claims = Claims(v=visitor, a=account.slug, i=issued_at, e=expires)
    encoded = _text(msgspec.json.encode(claims))
    return f"{encoded}.{_proof(account, encoded)}"


def visitor_of(account: Account, token: str, now: int | None = None) -> str:
    """Return whose token it is; nothing of it is decoded before its signature holds.

    *now* is in seconds since 1970; without it only a token that never expires is good.

    Raises:
        BadSignatureError: Not signed by this account's key, made for another account, or expired.
    """
    claims = _proven(account, token, _CLAIMS)
    if claims.a != account.slug or _VISITOR.fullmatch(claims.v) is None:
        raise BadSignatureError("the visitor token is for somebody else")
    if claims.e and (now is None or now >= claims.e):
        raise BadSignatureError("the visitor token has expired")
    return claims.v


def mint_return(account: Account, visitor: str, session: str, issued_at: int) -> str:
    """Return the token of a link that brings *visitor* back into the conversation.

    *issued_at* is in seconds since 1970; the same arguments give the same token.

    Raises:
        ValueError, BadSignatureError: As `mint`.
    """
    if _VISITOR.fullmatch(visitor) is None:
        raise ValueError("a visitor id is 1 to 128 of [A-Za-z0-9_-]")
    expires = issued_at + RETURN_LIFE_S
    claims = ReturnClaims(v=visitor, a=account.slug, i=issued_at, e=expires, s=session)
    encoded = _text(msgspec.json.encode(claims))
    return f"{encoded}.{_proof(account, _RETURN + encoded)}"


def returning(account: Account, token: str, now: int) -> ReturnClaims:
    """Return what a return link's token says; *now* is in seconds since 1970.

    Raises:
        ExpiredLinkError: It is ours and too old.
        BadSignatureError: Not signed by this account's key, or made for another account.
    """
    claims = _proven(account, token, _RETURNS, _RETURN)
    if claims.a != account.slug or _VISITOR.fullmatch(claims.v) is None:
        raise BadSignatureError("the link is for somebody else")
    if now >= claims.e:
        raise ExpiredLinkError("the link has expired")
    return claims


def _proven(account: Account, token: str, decoder: msgspec.json.Decoder[C], kind: str = "") -> C:
    encoded, _, given = token.partition(".")
    expected = _proof(account, kind + encoded)
    if not hmac.compare_digest(expected.encode(), given.encode(errors="surrogatepass")):
        raise BadSignatureError("the visitor token is not ours")
    try:
        padding = "=" * (-len(encoded) % 4)
        return decoder.decode(base64.urlsafe_b64decode(encoded + padding))
    except ValueError:
        raise BadSignatureError("the visitor token cannot be read") from None


def _proof(account: Account, encoded: str) -> str:
    key = account.secret("visitor_key").encode()
    return _text(hmac.digest(key, encoded.encode(errors="surrogatepass"), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

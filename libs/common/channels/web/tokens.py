"""Visitor tokens: who a visitor is, signed by us, kept by their browser.

`base64url({"v": visitor, "a": account, "i": issued at}) + "." + base64url(HMAC-SHA256)`, both
without padding, keyed by the account's `visitor_key`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from datetime import datetime

import msgspec

from libs.common.channel import Account
from libs.common.channels.web.wire import Claims
from libs.common.errors import BadSignatureError

_VISITOR = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLAIMS = msgspec.json.Decoder(Claims)


def mint(account: Account, visitor: str, issued_at: datetime) -> str:
    """Return the token of *visitor* on *account*; the same arguments give the same token.

    Raises:
        ValueError: The visitor id is not 1 to 128 of `[A-Za-z0-9_-]`.
        BadSignatureError: The account has no `visitor_key`.
    """
    if _VISITOR.fullmatch(visitor) is None:
        raise ValueError("a visitor id is 1 to 128 of [A-Za-z0-9_-]")
    claims = Claims(v=visitor, a=account.slug, i=int(issued_at.timestamp()))
    encoded = _text(msgspec.json.encode(claims))
    return f"{encoded}.{_proof(account, encoded)}"


def visitor_of(account: Account, token: str) -> str:
    """Return whose token it is; nothing of it is decoded before its signature holds.

    Raises:
        BadSignatureError: Not signed by this account's key, or made for another account.
    """
    encoded, _, given = token.partition(".")
    expected = _proof(account, encoded)
    if not hmac.compare_digest(expected.encode(), given.encode(errors="surrogatepass")):
        raise BadSignatureError("the visitor token is not ours")
    try:
        padding = "=" * (-len(encoded) % 4)
        claims = _CLAIMS.decode(base64.urlsafe_b64decode(encoded + padding))
    except (ValueError, binascii.Error):
        raise BadSignatureError("the visitor token cannot be read") from None
    if claims.a != account.slug:
        raise BadSignatureError("the visitor token is for another account")
    return claims.v


def _proof(account: Account, encoded: str) -> str:
    key = account.secret("visitor_key").encode()
    return _text(hmac.digest(key, encoded.encode(errors="surrogatepass"), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

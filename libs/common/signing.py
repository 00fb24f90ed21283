"""Signatures of webhooks by Standard Webhooks: of webhook bots, both ways, and of webhooks out.

Source: Standard Webhooks 1.0.0 (standardwebhooks.com): the headers `webhook-id`,
`webhook-timestamp` (seconds) and `webhook-signature`, which lists `v1,<base64>` of HMAC-SHA256 over
`id.timestamp.body`, parted by blanks; a secret is `whsec_` and base64 of 24 to 64 bytes. Its own
library is not used: it reads the clock itself, and fails unnamed on a malformed header.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from libs.common.errors import BadSignatureError

TOLERANCE_S = 300
"""Seconds that a request may be old, or ahead of our clock."""
SECRET_BYTES = 32

_ID = "webhook-id"
_TIME = "webhook-timestamp"
_SIGNATURE = "webhook-signature"
_PREFIX = "whsec_"
_VERSION = "v1,"
_SIZES = range(24, 65)
_LONGEST_ID = 256
_MOST_SIGNATURES = 10
_SECONDS = re.compile(r"[0-9]{1,11}")


def new_secret(randomness: bytes) -> str:
    """Return *randomness*, `SECRET_BYTES` of it, as a secret to share with the other side."""
    return _PREFIX + base64.b64encode(randomness).decode()


def sign(secret: str, call: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the three headers of *body*.

    Args:
        secret: One, or several parted by blanks while it is being changed: each signs.
        call: The request's id, the same when it is repeated.
        body: Exactly the bytes that are sent.
        now: When it is sent.

    Raises:
        BadSignatureError: There is no secret, or none that is one.
    """
    seconds = str(int(now.timestamp()))
    proofs = (_VERSION + _proof(key, call, seconds, body) for key in _keys(secret))
    return {_ID: call, _TIME: seconds, _SIGNATURE: " ".join(proofs)}


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Return the request's id, only if who has *secret* signed exactly these bytes just now.

    Every signature is compared with every key in constant time. Names of *headers* may be in any
    case.

    Raises:
        BadSignatureError: A header is absent or malformed, no signature fits, the time is more
            than five minutes off, or there is no secret. Answer 401.
    """
    given = {name.lower(): value for name, value in headers.items()}
    call, seconds = given.get(_ID, ""), given.get(_TIME, "")
    if not (0 < len(call) <= _LONGEST_ID and call.isascii() and call.isprintable()):
        raise BadSignatureError(f"{_ID} is absent, or no printable ASCII of up to 256 characters")
    if not _SECONDS.fullmatch(seconds):
        raise BadSignatureError(f"{_TIME} is absent or no number of seconds")
    proofs = given.get(_SIGNATURE, "").split(" ")[:_MOST_SIGNATURES]
    known = [one[len(_VERSION) :].encode() for one in proofs if one.isascii() and _is_ours(one)]
    fits = False
    for key in _keys(secret):
        expected = _proof(key, call, seconds, body).encode()
        for one in known:
            fits |= hmac.compare_digest(expected, one)
    if not fits:
        raise BadSignatureError(f"{_SIGNATURE} has no {_VERSION[:-1]} signature of the body")
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_S:
        raise BadSignatureError(f"{_TIME} is more than {TOLERANCE_S} seconds off")
    return call


def _is_ours(signature: str) -> bool:
    return signature.startswith(_VERSION)


def _proof(key: bytes, call: str, seconds: str, body: bytes) -> str:
    signed = b".".join((call.encode(), seconds.encode(), body))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _keys(secret: str) -> list[bytes]:
    """Return the keys of a secret, at least one: without one everything is refused."""
    keys = []
    for one in secret.split():
        try:
            key = base64.b64decode(one.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise BadSignatureError("a signing secret is not whsec_ and base64") from None
        if len(key) not in _SIZES:
            raise BadSignatureError("a signing secret has not 24 to 64 bytes")
        keys.append(key)
    if not keys:
        raise BadSignatureError("there is no signing secret")
    return keys

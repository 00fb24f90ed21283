"""The keys of Web Push: ours, by which push services know us (VAPID), and those of browsers.

Ours is derived from the installation's secret keys (HKDF, RFC 5869), so that there is no further
secret. A browser's subscription is bound to the key that it was made with: of a secret key that is
taken out of the setting, the subscriptions end.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libs.common.seal import read_keys

_PURPOSE = b"relaydesk web push, VAPID, 1"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (FIPS 186-5, SP 800-186)."""
_DERIVED_BYTES = 48
"""128 bits more than the order has, so that the remainder is as good as drawn evenly."""
POINT_BYTES = 65
AUTH_BYTES = 16


@lru_cache(maxsize=8)
def vapid_keys(setting: str) -> Mapping[str, ec.EllipticCurvePrivateKey]:
    """Return our keys by their public half (base64url), the one for new subscriptions first.

    Raises:
        SettingsError: The setting `secret_key` cannot be read.
    """
    keys = [_derived(key) for key in read_keys(setting).values()]
    return {public_text(key): key for key in keys}


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public half as browsers take it for `applicationServerKey`."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def point_problem(text: str) -> str:
    """Return what is wrong with a browser's `p256dh`; empty: it is a point of the curve."""
    raw = _decoded(text)
    if raw is None or len(raw) != POINT_BYTES:
        return f"is not {POINT_BYTES} bytes in base64url"
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError:
        return "is no point of P-256"
    return ""


def auth_problem(text: str) -> str:
    """Return what is wrong with a browser's `auth`; empty: nothing."""
    raw = _decoded(text)
    return "" if raw is not None and len(raw) == AUTH_BYTES else f"is not {AUTH_BYTES} bytes"


def _decoded(text: str) -> bytes | None:
    stripped = text.rstrip("=")
    try:
        return base64.b64decode(
            stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True
        )
    except ValueError:
        return None


def _derived(key: bytes) -> ec.EllipticCurvePrivateKey:
    drawn = HKDF(algorithm=SHA256(), length=_DERIVED_BYTES, salt=None, info=_PURPOSE).derive(key)
    return ec.derive_private_key(int.from_bytes(drawn) % (_ORDER - 1) + 1, ec.SECP256R1())

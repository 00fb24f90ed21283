"""How a push is sealed for the browser and signed for its push service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parseaddr
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from py_vapid import Vapid02
from pywebpush import WebPusher

from libs.common.pushes import Endpoint

VALID = timedelta(hours=12)
"""RFC 8292 allows 24 hours."""
MOST_SIGNED = 1000
NOBODY = "mailto:relaydesk@localhost"


def sealed(endpoint: Endpoint, payload: bytes) -> bytes:
    """Encrypt *payload* for the browser alone (RFC 8291); about half a millisecond.

    Raises:
        ValueError: The browser's keys are none.
    """
    info = {"endpoint": endpoint.url, "keys": {"p256dh": endpoint.p256dh, "auth": endpoint.auth}}
    body = WebPusher(info).encode(payload, "aes128gcm")["body"]
    return bytes(body)


def contact_of(mail_from: str, public_url: str) -> str:
    """Return whom a push service may ask about our pushes: the claim `sub`."""
    address = parseaddr(mail_from)[1]
    if "@" in address:
        return f"mailto:{address}"
    url = urlsplit(public_url)
    named = url.scheme == "https" and url.hostname and "." in url.hostname
    return f"https://{url.hostname}" if named else NOBODY


class Signer:
    """Signs for push services; one signature of an origin serves for hours.

    Args:
        keys: Ours, by public half.
        contact: From `contact_of`.
        now: The clock, UTC.
    """

    def __init__(
        self,
        keys: Mapping[str, EllipticCurvePrivateKey],
        contact: str,
        now: Callable[[], datetime],
    ) -> None:
        self._keys = keys
        self._contact = contact
        self._now = now
        self._signed: dict[tuple[str, str], tuple[datetime, str]] = {}

    def knows(self, key: str) -> bool:
        """Tell whether *key* is ours still."""
        return key in self._keys

    def header(self, key: str, endpoint: str) -> str:
        """Return the header `Authorization` (RFC 8292) for pushes to *endpoint*."""
        url = urlsplit(endpoint)
        origin = f"{url.scheme}://{url.netloc}"
        ends, text = self._signed.get((key, origin), (self._now(), ""))
        if ends - self._now() > VALID / 2:
            return text
        if len(self._signed) >= MOST_SIGNED:
            self._signed.clear()
        ends = self._now() + VALID
        claims = {"aud": origin, "sub": self._contact, "exp": int(ends.timestamp())}
        text = str(Vapid02(self._keys[key]).sign(claims)["Authorization"])
        self._signed[key, origin] = (ends, text)
        return text

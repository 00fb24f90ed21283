"""Really signed, unique Messenger webhooks of 1,536 bytes, as ready HTTP requests."""

from __future__ import annotations

import hmac
import itertools

import msgspec

BODY_BYTES = 1536


class Webhooks:
    """Makes request after request, each with its own message id, from a fixed set of visitors."""

    def __init__(self, *, path: str, page: str, secret: str, run: str, visitors: int = 500) -> None:
        self._path = path.encode()
        self._secret = secret.encode()
        self._numbers = itertools.count()
        self._run = run
        self._visitors = visitors
        sample = {
            "object": "page",
            "entry": [
                {
                    "id": page,
                    "time": 1760000000500,
                    "messaging": [
                        {
                            "sender": {"id": "@@VISITOR@@"},
                            "recipient": {"id": page},
                            "timestamp": 1760000000123,
                            "message": {"mid": "@@MESSAGE@@", "text": "@@TEXT@@"},
                        }
                    ],
                }
            ],
        }
        raw = msgspec.json.encode(sample)
        fill = BODY_BYTES - len(raw) - len(self._names(0)[1]) + len("@@TEXT@@@@MESSAGE@@")
        self._raw = raw.replace(b"@@TEXT@@", b"x" * fill)

    def __call__(self) -> bytes:
        """Return the next request, headers and body."""
        visitor, message = self._names(next(self._numbers))
        body = self._raw.replace(b"@@VISITOR@@", visitor).replace(b"@@MESSAGE@@", message)
        signature = hmac.digest(self._secret, body, "sha256").hex().encode()
        return (
            b"POST " + self._path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nX-Hub-Signature-256: sha256=" + signature + b"\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )

    def _names(self, number: int) -> tuple[bytes, bytes]:
        visitor = f"PSID-{number % self._visitors:06d}"
        return visitor.encode(), f"m_{self._run}_{number:09d}".encode()

"""The answers of ingest, made once: short plain text, no version, no trace, no echo of input."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from services.ingest.metrics import Outcome

RETRY_AFTER_S = 5

STATUS: Mapping[Outcome, tuple[int, str]] = {
    "accepted": (200, ""),
    "spooled": (200, ""),
    "handshake": (200, ""),
    "preflight": (204, ""),
    "heartbeat": (204, ""),
    "bad_request": (400, "the request cannot be read\n"),
    "disconnected": (400, "the request ended too early\n"),
    "bad_signature": (401, "the signature does not fit\n"),
    "handshake_refused": (403, "the handshake is refused\n"),
    "unknown_account": (404, "there is no such webhook\n"),
    "unknown_path": (404, "there is no such webhook\n"),
    "wrong_method": (405, "this method is not served here\n"),
    "timeout": (408, "the body came too slowly\n"),
    "too_large": (413, "the body is too large\n"),
    "compressed": (415, "compressed bodies are not accepted\n"),
    "throttled": (429, "too many requests\n"),
    "busy": (503, "too much at once\n"),
    "unavailable": (503, "it cannot be stored at the moment\n"),
    "error": (503, "it cannot be handled at the moment\n"),
}
"""What is answered for each outcome; the two kinds of 404 read the same."""

_RETRY_LATER = frozenset({"throttled", "busy", "unavailable", "error"})
_CLOSING = frozenset({"timeout", "disconnected"})

PLAIN = {
    "Server": "relaydesk",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""


class Refused(Exception):  # noqa: N818 (an answer, not a failure)
    """The request is answered with *outcome* and nothing is stored."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Answer(msgspec.Struct, frozen=True):
    """An answer that is given often; `response` makes the one that is sent."""

    status: int
    body: bytes
    headers: CIMultiDict[str]
    close: bool = False

    def response(self) -> web.Response:
        """Return a fresh response: aiohttp writes into the one it sends."""
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.close:
            response.force_close()
        return response


def answer(status: int, body: bytes, content_type: str = "text/plain", **extra: str) -> Answer:
    """Return an answer with the usual headers and *extra*, underscores for hyphens."""
    headers = CIMultiDict(PLAIN)
    if body:
        headers["Content-Type"] = content_type
    headers.update({name.replace("_", "-"): value for name, value in extra.items()})
    return Answer(status, body, headers)


def table(allow: str, **extra: str) -> dict[Outcome, Answer]:
    """Return the answers of one address; *allow* names the methods it serves."""
    made: dict[Outcome, Answer] = {}
    for outcome, (status, text) in STATUS.items():
        more = dict(extra)
        if outcome in _RETRY_LATER:
            more["Retry_After"] = str(RETRY_AFTER_S)
        if outcome == "wrong_method":
            more["Allow"] = allow
        found = answer(status, text.encode(), "text/plain; charset=utf-8", **more)
        made[outcome] = msgspec.structs.replace(found, close=outcome in _CLOSING)
    return made

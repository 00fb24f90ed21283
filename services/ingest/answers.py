"""The answers of ingest, made once: short plain text, no version, no trace, no echo of input."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from libs.common.admin import close_behind
from services.ingest.metrics import Outcome

RETRY_AFTER_S = 5

STATUS: Mapping[Outcome, tuple[int, str]] = {
    "accepted": (200, ""),
    "spooled": (200, ""),
    "heartbeat": (204, ""),
    "bad_request": (400, "the request cannot be read\n"),
    "disconnected": (400, "the request ended too early\n"),
    "bad_signature": (401, "the signature does not fit\n"),
    "foreign_origin": (403, "pages of this origin may not use it\n"),
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
    "link_expired": (410, "the link has expired\n"),
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
"""Headers of every answer but the frequent ones."""


Responding = Callable[[web.BaseRequest], web.StreamResponse]


class Refused(Exception):  # noqa: N818 (an answer, not a failure)
    """The request is answered with *outcome* and nothing is stored."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Answer:
    """An answer that is given often.

    Args:
        status: The status.
        body: The body; its type is plain text where *headers* say nothing else.
        headers: Headers besides the usual ones.
        close: Whether the connection ends with it.
    """

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = {**PLAIN, **(headers or {})}
        if body:
            self.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        self.close = close

    def to(self, _request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to send."""
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.close:
            response.force_close()
        return response


class Frequent(Answer):
    """The answer to nearly every webhook: constant bytes, written as they are.

    aiohttp's own response costs a third of a bare request. Clients that want the connection
    closed, or speak HTTP/1.0, get the ordinary one.
    """

    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body, headers)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{k}: {v}" for k, v in self.headers.items() if k not in PLAIN]
        lines += ["Server: relaydesk", f"Content-Length: {len(body)}", "Date: "]
        self._head = "\r\n".join(lines).encode()
        self._made_at = 0
        self._sent = _Sent(b"", super().to)

    def to(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to send."""
        if request.version != HttpVersion11 or not request.keep_alive:
            return super().to(request)
        now = int(time.time())
        if now != self._made_at:
            date = formatdate(now, usegmt=True).encode()
            data = b"%b%b\r\n\r\n%b" % (self._head, date, self.body)
            self._sent = _Sent(data, super().to)
            self._made_at = now
        return self._sent


class _Sent(web.StreamResponse):
    """A response of constant bytes, for any number of requests on connections that stay."""

    def __init__(self, data: bytes, ordinary: Responding) -> None:
        super().__init__()
        self._data = data
        self.ordinary = ordinary
        """Makes the response that says the same and can be changed."""

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        await request.writer.write(self._data)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all was written."""


def last_of(response: web.StreamResponse, request: web.BaseRequest) -> web.StreamResponse:
    """Return *response* so that its connection is closed behind it."""
    last = response.ordinary(request) if isinstance(response, _Sent) else response
    if not last.prepared:
        close_behind(last)
    return last


def table(allow: str, headers: Mapping[str, str]) -> dict[Outcome, Answer]:
    """Return the answers of one address; *allow* names the methods it serves."""
    made: dict[Outcome, Answer] = {}
    for outcome, (status, text) in STATUS.items():
        more = dict(headers)
        if outcome in _RETRY_LATER:
            more["Retry-After"] = str(RETRY_AFTER_S)
        if outcome == "wrong_method":
            more["Allow"] = allow
        made[outcome] = Answer(status, text.encode(), more, close=outcome in _CLOSING)
    return made

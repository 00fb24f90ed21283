"""Request and reply on core NATS, and the JetStream API on top of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from libs.common import tracing
from libs.common.bus.connection import Connection
from libs.common.bus.wire import checked_subject, encode_headers, header, hpub, pub, status
from libs.common.errors import BusUnavailableError, GatewayError, NoResponderError

log = logging.getLogger(__name__)

_NO_RESPONDERS = 503
MAX_REQUESTS_SERVED = 2000
"""Requests worked on at once by one `serve`; more get no answer and run into their time-out."""

API_TIMEOUT_S = 5.0

Answer = Callable[[str, bytes], Awaitable[bytes]]


class ApiError(GatewayError):
    """JetStream's management API refused; `err_code` is the server's own number."""

    code = "jetstream"

    def __init__(self, detail: str, *, status: int, err_code: int) -> None:
        super().__init__(detail)
        self.status = status
        self.err_code = err_code


class Asker:
    """Sends requests on one connection; answers come back on one wildcard inbox."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: dict[bytes, asyncio.Future[tuple[bytes, bytes]]] = {}
        self._numbers = itertools.count()
        self._inbox = f"{connection.new_inbox()}.".encode()
        connection.tap(f"{self._inbox.decode()}*", self._answered)
        connection.on_down.append(self._fail_waiting)

    async def ask(self, subject: str, data: bytes, timeout_s: float) -> tuple[bytes, bytes]:
        """Return the first answer's data and raw headers; see `Bus.request` for the errors."""
        return await self._ask(checked_subject(subject), data, timeout_s, tracing.told())

    async def _ask(
        self,
        subject: bytes,
        data: bytes,
        timeout_s: float,
        headers: Mapping[str, str] = tracing.NOTHING,
    ) -> tuple[bytes, bytes]:
        if not self._connection.is_connected:
            raise BusUnavailableError("not connected")
        token = b"%d" % next(self._numbers)
        future: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        self._connection.write(asking(subject, self._inbox + token, data, headers))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await future
        except TimeoutError:
            raise BusUnavailableError(f"no answer within {timeout_s} s") from None
        finally:
            self._waiting.pop(token, None)
        if status(answer[1]) == _NO_RESPONDERS:
            raise NoResponderError(f"nobody serves {subject.decode()}")
        return answer

    async def api(self, verb: str, body: object = None, timeout_s: float = API_TIMEOUT_S) -> Any:
        """Call `$JS.API.<verb>`; return its decoded answer.

        Raises:
            ApiError: JetStream refused.
            BusUnavailableError: No answer, or JetStream does not run.
        """
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            answer, _ = await self._ask(f"$JS.API.{verb}".encode(), data, timeout_s)
        except NoResponderError:
            raise BusUnavailableError("JetStream is not available") from None
        told = msgspec.json.decode(answer)
        error = told.get("error")
        if error is not None:
            raise ApiError(
                f"{verb}: {error.get('description', '')}",
                status=int(error.get("code", 0)),
                err_code=int(error.get("err_code", 0)),
            )
        return told

    def _answered(self, subject: bytes, _reply: bytes, data: bytes, headers: bytes) -> None:
        future = self._waiting.get(subject[len(self._inbox) :])
        if future is not None and not future.done():
            future.set_result((data, headers))

    def _fail_waiting(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BusUnavailableError("the connection was lost"))


def asking(subject: bytes, reply: bytes, data: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the command that asks; with headers where there are any."""
    if not headers:
        return pub(subject, reply, data)
    return hpub(subject, reply, encode_headers(headers), data)


class Server:
    """Answers requests on one subject; shares them with all that use the same *queue*."""

    def __init__(self, connection: Connection, subject: str, queue: str, handle: Answer) -> None:
        self._connection = connection
        self._handle = handle
        self._running: set[asyncio.Task[None]] = set()
        self._sid = connection.tap(subject, self._take, queue)

    def _take(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if len(self._running) >= MAX_REQUESTS_SERVED:
            log.warning("bus.request_refused", extra={"running": len(self._running)})
            return
        context = header(headers, tracing.HEADER.encode()) if headers else ""
        task = asyncio.get_running_loop().create_task(self._answer(subject, reply, data, context))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, subject: bytes, reply: bytes, data: bytes, context: str) -> None:
        tracing.enter(tracing.checked(context))
        try:
            answer = await self._handle(subject.decode(), data)
        except Exception:  # the boundary: a bug in one request must not stop the service
            log.exception("bus.handler_bug", extra={"subject": subject.decode()})
            return
        if reply:
            self._connection.write(pub(reply, b"", answer))

    async def stop(self) -> None:
        """Take no new requests, finish those begun and get their answers out."""
        await self._connection.untap_gently(self._sid)
        if self._running:
            await asyncio.wait(set(self._running))

"""The path of a webhook: find the account, read, verify, parse, store durably, answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from libs.common import tracing
from libs.common.channel import Account, WebhookRequest
from libs.common.empty_webhooks import is_empty
from libs.common.errors import BadSignatureError
from services.ingest import metrics
from services.ingest.answers import Answer, Refused
from services.ingest.body import Load, read_body
from services.ingest.defects import report
from services.ingest.endpoint import Done, Endpoint
from services.ingest.forgotten import kept
from services.ingest.metrics import Outcome, tally
from services.ingest.outlet import Outlet
from services.ingest.prepare import Arrival, Prepared, heavy, prepare
from services.ingest.reach import Reach
from services.ingest.select import Group, Selected, grouped, select_own, select_shared
from services.ingest.stamps import Stamp, Stamps

HEAVY_BEGUN_WITHIN_S = 0.7
"""Seconds from the first byte for a heavy body to have its turn; the rest is for the storing."""
MAX_ECHO_BYTES = 1024
"""Longest challenge that is echoed; providers send 20 to 64 characters."""

_PUBLISHING = {"messaging.system": "nats", "messaging.destination.name": "INBOUND"}

Select = Callable[[WebhookRequest], Selected]


class Receiver:
    """Takes the webhooks of one endpoint.

    Args:
        endpoint: The kind of address.
        reach: The account directory.
        outlet: Stores what is accepted.
        load: What is under way, bounded.
        max_body_bytes: Largest body.
        read_timeout_s: Seconds a client has for its body.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reach: Reach,
        outlet: Outlet,
        load: Load,
        *,
        max_body_bytes: int,
        read_timeout_s: float,
    ) -> None:
        self.endpoint = endpoint
        self._reach = reach
        self._outlet = outlet
        self._load = load
        self._max_body_bytes = max_body_bytes
        self._read_timeout_s = read_timeout_s
        self._heavy = asyncio.Semaphore()
        self._stamps = Stamps()
        self._groups: dict[str, tuple[tuple[Account, ...], tuple[Group, ...]]] = {}
        self._unknown = metrics.UNKNOWN_ADDRESSEES.labels(endpoint.name)
        self._events = {name: tally(metrics.EVENTS.labels(name)) for name in endpoint.channels}

    def handle(self, request: web.BaseRequest, key: str) -> Awaitable[web.StreamResponse]:
        """Answer any request to the endpoint's address."""
        work = self.post if request.method == "POST" else self._ask
        return self.endpoint.serve(request, key, work)

    async def post(self, request: web.BaseRequest, key: str, started: float) -> Outcome:
        """Take a webhook; it is stored durably when this returns.

        Raises:
            Refused: It is not for us, or not readable within the limits.
            BadSignatureError: Not from the provider.
            SpoolUnavailableError: Nothing could store it.
        """
        load = self._load
        select = self._select(key)
        deadline = started + self._read_timeout_s
        body = await read_body(request, load, max_bytes=self._max_body_bytes, deadline=deadline)
        try:
            load.begin()
            try:
                return await self._accept(select, request, body, started)
            except BadSignatureError:
                self._reach.sightings.refused(key, shared=self.endpoint.shared)
                raise
            finally:
                load.end()
        finally:
            load.give_back(len(body))

    def account(self, key: str) -> Account:
        """Return the one account that the URL names; raises as `_accounts`."""
        return self._accounts(key)[0]

    async def _ask(self, request: web.BaseRequest, key: str, _started: float) -> Done:
        """Answer a provider's handshake."""
        challenge = self.endpoint.challenge
        if request.method != "GET" or challenge is None:
            raise Refused("wrong_method")
        webhook = _webhook(request, b"", self._stamps.next())
        try:
            echo = challenge(self._accounts(key), webhook)
        except BadSignatureError:
            raise Refused("handshake_refused") from None
        if len(echo) > MAX_ECHO_BYTES:
            raise Refused("handshake_refused")
        return Done("handshake", Answer(200, echo, self.endpoint.headers))

    def _accounts(self, key: str) -> tuple[Account, ...]:
        """Return the accounts that the URL names.

        Raises:
            Refused: None does; or the directory is not complete, so that nobody can tell.
        """
        directory = self._reach.directory
        if self.endpoint.shared:
            found = directory.of_app(key)
        else:
            account = directory.account(key)
            found = (account,) if account and account.channel in self.endpoint.channels else ()
        if not found:
            raise Refused("unknown_account" if directory.complete.is_set() else "unavailable")
        return found

    def _select(self, key: str) -> Select:
        accounts = self._accounts(key)
        channels = self.endpoint.channels
        if not self.endpoint.shared:
            return partial(select_own, channels[accounts[0].channel], accounts[0])
        before, groups = self._groups.get(key, ((), ()))
        if before is not accounts:  # the directory makes a new tuple at each change
            groups = grouped(channels, accounts)
            self._groups[key] = (accounts, groups)
        return partial(select_shared, channels, groups)

    async def _accept(
        self, select: Select, request: web.BaseRequest, body: bytes, started: float
    ) -> Outcome:
        stamp = self._stamps.next()
        webhook = _webhook(request, body, stamp)
        trace = tracing.here()
        if not tracing.recording():  # else the span of the request is the one to go on from
            trace = stamp.traceparent(trace)
            tracing.enter(trace)
        arrival = Arrival(stamp, request.path, trace)
        if heavy(body):
            async with self._turn(started):
                selected, prepared = await asyncio.to_thread(_prepared, select, webhook, arrival)
        else:
            selected, prepared = _prepared(select, webhook, arrival)
        spooled = False
        if records := kept(self._reach.erased, prepared.records):
            with tracing.span("publish INBOUND", "producer", _PUBLISHING):
                spooled = await self._outlet.store(records, started)
        self._count(selected, prepared)
        if not is_empty(body):
            self._reach.sightings.accepted(selected, stamp.at)
        return "spooled" if spooled else "accepted"

    @asynccontextmanager
    async def _turn(self, started: float) -> AsyncIterator[None]:
        """Let one heavy body of this endpoint at a time into a thread, off the loop (I11).

        One at a time, as they share the interpreter with the loop, and memory; by endpoint, so
        that visitors of a web page hold up no provider.

        Raises:
            Refused: `busy`: its turn would come too late for an answer in time.
        """
        try:
            async with asyncio.timeout_at(started + HEAVY_BEGUN_WITHIN_S):
                await self._heavy.acquire()
        except TimeoutError:
            raise Refused("busy") from None
        try:
            yield
        finally:
            self._heavy.release()

    def _count(self, selected: Selected, prepared: Prepared) -> None:
        for channel, count in prepared.events:
            self._events[channel].count += count
        for channel, count in prepared.ignored:
            metrics.IGNORED.labels(channel).inc(count)
        for channel, reason in prepared.unparsed:
            metrics.UNPARSED.labels(channel, reason).inc()
        if selected.unknown:
            self._unknown.inc(selected.unknown)
        for defect in prepared.defects:
            report("ingest.parser_defect", defect)


def _prepared(
    select: Select, webhook: WebhookRequest, arrival: Arrival
) -> tuple[Selected, Prepared]:
    selected = select(webhook)
    return selected, prepare(selected.shares, arrival)


def _webhook(request: web.BaseRequest, body: bytes, stamp: Stamp) -> WebhookRequest:
    given = request.headers
    headers = {name.lower(): value for name, value in given.items()}
    if len(headers) != len(given):  # a name came twice: join, so that none is hidden
        headers = {name.lower(): ", ".join(given.getall(name)) for name in given}
    query: dict[str, str] = {}
    if request.query_string:
        for name, value in request.query.items():
            query.setdefault(name, value)
    return WebhookRequest(
        method=request.method, headers=headers, query=query, body=body, received_at=stamp.at
    )

"""Typing and reading, shown to visitors now or never: no queue, no mark, no second try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply, SendSignal, Signal
from libs.common.errors import GatewayError
from libs.common.events import VisitorSignal
from libs.common.http import allowed_base
from libs.common.subjects import SIGNALS
from services.notifier import metrics
from services.notifier.deliver import Perform, Transcript, drive
from services.notifier.work import Outside

log = logging.getLogger(__name__)

QUEUE = "notifier"
WITHIN_S = 3.0
"""For everything; what comes later would show what is over."""
TYPING_EVERY_S = 3.0
"""Providers show it for 5 to 25 s after one call."""
AT_ONCE = 64
REMEMBERED = 4096
"""Visitors whose last typing is remembered at least."""

_SIGNAL = msgspec.json.Decoder(VisitorSignal)


class Signals:
    """Shows signals; what cannot be shown at once is dropped and counted."""

    def __init__(self, outside: Outside) -> None:
        self._out = outside
        self._running: set[asyncio.Task[None]] = set()
        self._typed: dict[tuple[str, str], float] = {}

    def take(self, _subject: str, data: bytes) -> None:
        """Show one signal in the background, or drop it."""
        try:
            wanted = _SIGNAL.decode(data)
        except (ValueError, RecursionError) as error:
            log.warning("signal.malformed", extra={"reason": type(error).__name__})
            return
        account, show = self._found(wanted)
        if account is None or show is None or not self._may(wanted, account):
            self._count(wanted, "dropped")
            return
        task = asyncio.get_running_loop().create_task(self._shown(wanted, account, show))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Wait for those under way; none takes longer than `WITHIN_S`."""
        if self._running:
            await asyncio.wait(set(self._running))

    def _found(self, wanted: VisitorSignal) -> tuple[Account | None, SendSignal | None]:
        account = self._out.account(wanted.account)
        channel = self._out.channels.get(wanted.channel)
        fits = account is not None and (account.workspace, account.channel) == (
            wanted.workspace,
            wanted.channel,
        )
        return (account, channel.signal) if fits and channel is not None else (None, None)

    def _may(self, wanted: VisitorSignal, account: Account) -> bool:
        if len(self._running) >= AT_ONCE or self._out.standings.silent(account):
            return False
        if wanted.kind == "typing" and not self._is_due(wanted):
            return False
        return self._out.gates.of(account.slug, self._out.channels[account.channel].pace).spare()

    def _is_due(self, wanted: VisitorSignal) -> bool:
        """Tell whether typing was not shown to this visitor just now, and remember that it is."""
        now = asyncio.get_running_loop().time()
        key = (wanted.account, wanted.visitor)
        if now - self._typed.get(key, -TYPING_EVERY_S) < TYPING_EVERY_S:
            return False
        self._typed.pop(key, None)
        self._typed[key] = now  # at the end: the first ones are the oldest
        while len(self._typed) > REMEMBERED:
            del self._typed[next(iter(self._typed))]
        return True

    async def _shown(self, wanted: VisitorSignal, account: Account, show: SendSignal) -> None:
        outcome = "failed"
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._show(wanted, account, show)
            outcome = "shown"
        except (GatewayError, TimeoutError) as error:
            reason = error.code if isinstance(error, GatewayError) else "timeout"
            log.info("signal.not_shown", extra={"account": account.slug, "reason": reason})
        except Exception as bug:  # noqa: BLE001 (the boundary: a channel's bug costs one signal)
            reason = type(bug).__name__  # a trace could hold a token
            log.error("signal.bug", extra={"account": account.slug, "reason": reason})  # noqa: TRY400
        self._count(wanted, outcome)

    async def _show(self, wanted: VisitorSignal, account: Account, show: SendSignal) -> None:
        token = ""
        if self._out.channels[account.channel].token is not None:
            token = await self._out.tokens.present(account)  # to fetch one is a message's work
        signal = Signal(
            kind=wanted.kind,
            recipient=wanted.visitor,
            message_id=wanted.message_id,
            read_token=wanted.read_token,
            access_token=token,
        )
        await drive(show(account, signal), self._perform(account), Transcript())

    def _perform(self, account: Account) -> Perform:
        allow = allowed_base(account.api_base)

        async def perform(call: HttpCall) -> HttpReply:
            return await self._out.door.perform(call, timeout_s=WITHIN_S, allow=allow)

        return perform

    def _count(self, wanted: VisitorSignal, outcome: str) -> None:
        metrics.SIGNALS.labels(metrics.channel_label(wanted.channel), outcome).inc()


@asynccontextmanager
async def showing(outside: Outside) -> AsyncIterator[None]:
    """Show what comes on `signal.*.*` until the block ends, sharing it with other replicas."""
    signals = Signals(outside)
    stop = await outside.bus.listen(SIGNALS, signals.take, queue=QUEUE)
    try:
        yield
    finally:
        await stop()
        await signals.finish()

"""Carrying one message through its channel: account, token, calls, or the web visitor's stream."""

from __future__ import annotations

import asyncio
import time
from typing import Literal, get_args

import msgspec

from libs.common import subjects
from libs.common.channel import (
    Account,
    Channel,
    FetchToken,
    HttpCall,
    HttpReply,
    Outbound,
    Pace,
    Sent,
    age_s,
)
from libs.common.channels.web.wire import VisitorMessage
from libs.common.errors import (
    BusUnavailableError,
    NotFoundError,
    NotSentError,
    RejectedError,
    StoreUnavailableError,
)
from libs.common.events import SendRequest
from libs.common.http import allowed_base
from libs.common.ids import derive_id
from libs.common.tracing import exemplar, here
from services.notifier import metrics
from services.notifier.deliver import Perform, cautious, drive
from services.notifier.gates import Gate, StoppingError
from services.notifier.hold import hold
from services.notifier.window import at_fire
from services.notifier.work import Limits, Outside, Work

WEB = "web"

SLOWEST_BYTES_S = 256 * 1024
"""A provider that takes a file more slowly than this is given up."""
LONGEST_UPLOAD_S = 120.0

Speaker = Literal["visitor", "agent", "bot", "automation", "system"]


class Courier:
    """Makes one try of a message."""

    def __init__(self, outside: Outside, limits: Limits) -> None:
        self._out = outside
        self._limits = limits

    def pace(self, request: SendRequest) -> Pace | None:
        """Return how fast the message's account may call."""
        channel = self._out.channels.get(request.channel)
        return channel.pace if channel else None

    async def carry(self, work: Work, gate: Gate) -> Sent:
        """Send what is not out yet, calling as often as *gate* allows.

        Raises:
            GatewayError: As the channel classified it; before any call `account_unavailable` where
                the account is gone or switched off, `credential` where it is revoked,
                `window_closed`, `file_missing`, and `stale_epoch` where a person took over.
            StoppingError: The service stops, and the next call was not made.
        """
        request = work.request
        work.transcript.failed = None
        account, channel = self._found(request)
        standing = at_fire(request, account, channel.window, self._out.now())
        if standing == "closed":
            raise RejectedError("the window has closed", reason="window_closed")
        message = await self._message(work, account, human_agent=standing == "human_agent")
        if not work.admitted:
            self._out.standings.admit(account)
        perform = self._perform(account)
        if channel.token is not None:
            work.token = await self._token(work, account, channel.token, perform)
            message = msgspec.structs.replace(message, access_token=work.token)
        paced = self._paced(work, gate, self._marked(work, perform))
        careful = cautious(paced) if work.cut else paced
        await self._refuse_hushed(work)
        answer = await drive(channel.send(account, message), careful, work.transcript)
        if account.channel == WEB:
            await hold(lambda: self._show(request))
            if (shown := self._out.shown) is not None:
                await hold(lambda: shown(request))
        return answer

    async def _refuse_hushed(self, work: Work) -> None:
        """Refuse what a machine said before a person took over, as late as it can be known."""
        try:
            hushed = work.untouched and await self._out.ledger.is_hushed(work.request)
        except StoreUnavailableError:
            raise StoppingError from None
        if hushed:
            raise RejectedError("a person has taken over", reason="stale_epoch")

    async def _token(
        self, work: Work, account: Account, exchange: FetchToken, perform: Perform
    ) -> str:
        tokens, gates = self._out.tokens, self._out.gates
        try:
            return await hold(
                lambda: tokens.get(account, exchange, perform, refused=work.refused_token),
                give_up=gates.closed,
            )
        except BusUnavailableError:
            raise StoppingError from None

    def can_refresh(self, work: Work) -> bool:
        """Tell whether another token may be fetched for this message."""
        channel = self._out.channels.get(work.request.channel)
        return channel is not None and channel.token is not None and work.refused_token is None

    def _found(self, request: SendRequest) -> tuple[Account, Channel]:
        account = self._out.account(request.account)
        channel = self._out.channels.get(request.channel)
        if (
            account is None
            or channel is None
            or (account.workspace, account.channel) != (request.workspace, request.channel)
        ):
            raise RejectedError("no such account", reason="account_unavailable")
        return account, channel

    async def _message(self, work: Work, account: Account, *, human_agent: bool) -> Outbound:
        """Return what the channel is told, but for the access token.

        The reply token's age and the end of links are taken from the mark's time, so that a later
        process, given the same mark, asks for the same calls as the one that died.
        """
        request = work.request
        began = work.attempt.started_at if work.attempt else self._out.now()
        try:
            files = await hold(
                lambda: self._out.content.files(request, account, began),
                give_up=self._out.gates.closed,
            )
        except StoreUnavailableError:
            raise StoppingError from None
        return Outbound(
            message_id=request.message_id,
            recipient=request.visitor,
            parts=request.parts,
            reply_to=request.reply_to,
            reply_token=request.reply_token,
            reply_token_age_s=age_s(request.reply_token_at, began),
            quote_token=request.quote_token,
            thread=request.thread,
            way=request.way,
            human_agent=human_agent,
            files=files,
        )

    def _perform(self, account: Account) -> Perform:
        allow = allowed_base(account.api_base)
        seconds = metrics.CALLS_SECONDS.labels(metrics.channel_label(account.channel))

        async def perform(call: HttpCall) -> HttpReply:
            began = time.perf_counter()
            try:
                reply = await self._out.door.perform(
                    call,
                    timeout_s=self._limits.call_timeout_s + upload_s(call),
                    allow=allow,
                    workspace=account.workspace,
                )
            except NotFoundError:
                raise RejectedError("the file is gone", reason="file_missing") from None
            except StoreUnavailableError as error:
                raise NotSentError(error.detail, delay_s=error.delay_s) from None
            finally:
                seconds.observe(time.perf_counter() - began, exemplar(here()))
            self._out.standings.used(account.slug, reply.headers)
            return reply

        return perform

    def _paced(self, work: Work, gate: Gate, perform: Perform) -> Perform:
        """Return *perform* in the account's pace; the first call of a try is paid for already."""
        calls = 0

        async def paced(call: HttpCall) -> HttpReply:
            nonlocal calls
            calls += 1
            wait_s = gate.further_s() if calls > 1 else 0.0
            if wait_s and work.untouched:
                await self._out.gates.sleep(wait_s)
            elif wait_s:  # a message that is half out is finished, also while the service stops
                await asyncio.sleep(wait_s)
            return await perform(call)

        return paced

    def _marked(self, work: Work, perform: Perform) -> Perform:
        """Return *perform* that marks the message as started before it may put something out."""

        async def marked(call: HttpCall) -> HttpReply:
            if not call.harmless and work.attempt is not None and work.attempt.state == "waiting":
                await self._refuse_hushed(work)
                try:
                    work.attempt = await self._out.ledger.begin(work.attempt)
                except StoreUnavailableError:
                    raise StoppingError from None
            return await perform(call)

        return marked

    async def _show(self, request: SendRequest) -> None:
        """Put the message into the visitor's event stream; a repeat is stored once."""
        visitor = derive_id("vis", request.account, request.visitor)
        shown = VisitorMessage(
            id=request.message_id,
            at=request.queued_at,
            sender=_speaker(request.sender),
            parts=request.parts,
            agent=request.sender_name if request.sender == "agent" else "",
            reply_to=request.reply_to,
        )
        await self._out.bus.publish(
            subjects.visitor(request.workspace, request.account, visitor),
            msgspec.json.encode(shown),
            msg_id=request.message_id,
        )


def upload_s(call: HttpCall) -> float:
    """Return the seconds that a call's file may take besides, up to two minutes."""
    if call.upload is None:
        return 0.0
    return min(call.upload.file.size_bytes / SLOWEST_BYTES_S, LONGEST_UPLOAD_S)


def _speaker(sender: str) -> Speaker:
    kind = sender.partition(":")[0]
    found: Speaker = kind if kind in get_args(Speaker) else "system"  # type: ignore[assignment]
    return found

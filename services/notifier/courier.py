"""Carrying one message through its channel: account, token, calls, or the web visitor's stream."""

from __future__ import annotations

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
    Sent,
    age_s,
)
from libs.common.channels.web.wire import VisitorMessage
from libs.common.errors import BusUnavailableError, RejectedError
from libs.common.events import SendRequest
from libs.common.http import allowed_base
from libs.common.ids import derive_id
from services.notifier import metrics
from services.notifier.deliver import Perform, drive, keyed_only
from services.notifier.gates import StoppingError
from services.notifier.hold import hold
from services.notifier.work import Limits, Outside, Work

WEB = "web"

Speaker = Literal["visitor", "agent", "bot", "automation", "system"]


class Courier:
    """Makes one try of a message."""

    def __init__(self, outside: Outside, limits: Limits) -> None:
        self._out = outside
        self._limits = limits

    async def carry(self, work: Work) -> Sent:
        """Send what is not out yet.

        Raises:
            GatewayError: As the channel classified it; `account_unavailable` where the account is
                gone or switched off.
        """
        request = work.request
        account, channel = self._found(request)
        perform = self._perform(account)
        if channel.token is not None:
            work.token = await self._token(work, account, channel.token, perform)
        message = self._message(work)
        careful = keyed_only(perform) if work.cut else perform
        answer = await drive(channel.send(account, message), careful, work.transcript)
        if account.channel == WEB:
            await hold(lambda: self._show(request))
        return answer

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

    def _message(self, work: Work) -> Outbound:
        """Return what the channel is told.

        The token's age is taken at the mark's time, so that a later process, given the same
        mark, asks for the same calls as the one that died.
        """
        request = work.request
        began = work.attempt.started_at if work.attempt else self._out.now()
        return Outbound(
            message_id=request.message_id,
            recipient=request.visitor,
            parts=request.parts,
            reply_to=request.reply_to,
            reply_token=request.reply_token,
            reply_token_age_s=age_s(request.reply_token_at, began),
            thread=request.thread,
            access_token=work.token,
        )

    def _perform(self, account: Account) -> Perform:
        allow = allowed_base(account.api_base)
        seconds = metrics.CALLS_SECONDS.labels(metrics.channel_label(account.channel))

        async def perform(call: HttpCall) -> HttpReply:
            with seconds.time():
                return await self._out.door.perform(
                    call, timeout_s=self._limits.call_timeout_s, allow=allow
                )

        return perform

    async def _show(self, request: SendRequest) -> None:
        """Put the message into the visitor's event stream; a repeat is stored once."""
        visitor = derive_id("vis", request.account, request.visitor)
        shown = VisitorMessage(
            id=request.message_id,
            at=request.queued_at,
            sender=_speaker(request.sender),
            parts=request.parts,
            agent=request.sender_name if request.sender == "agent" else "",
        )
        await self._out.bus.publish(
            subjects.visitor(request.workspace, request.account, visitor),
            msgspec.json.encode(shown),
            msg_id=request.message_id,
        )


def _speaker(sender: str) -> Speaker:
    kind = sender.partition(":")[0]
    found: Speaker = kind if kind in get_args(Speaker) else "system"  # type: ignore[assignment]
    return found

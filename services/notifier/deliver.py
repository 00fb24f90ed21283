"""Driving one send: the channel asks for calls, the door makes them, none is made twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

import msgspec

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import AmbiguousSendError, GatewayError

T = TypeVar("T")

Perform = Callable[[HttpCall], Awaitable[HttpReply]]

_ALREADY_ACCEPTED = 409  # LINE's answer to a retry key that it has seen


class CutOffError(AmbiguousSendError):
    """An earlier process was cut off while it sent this; no call was made now."""


class Transcript:
    """What the calls of one message came to so far, for the next try.

    A channel's `send` is pure: told the same, it asks the same. So a second try tells it what is
    known already and makes only the call that failed and those behind it; a message of several
    parts never starts from the beginning again.
    """

    def __init__(self) -> None:
        self.steps: list[HttpReply | GatewayError] = []
        self.failed: HttpCall | None = None
        """The call that the last try ended with; None when it ended before any."""
        self.begun = False
        """Whether the provider has taken a part of the message; a harmless call is none."""
        self._uploads: list[tuple[HttpCall, HttpReply]] = []

    def add(self, call: HttpCall, step: HttpReply | GatewayError) -> None:
        """Keep what *call* came to, once the channel has gone on from it."""
        self.steps.append(step)
        if not isinstance(step, HttpReply) or not _taken(step):
            return
        if not call.harmless:
            self.begun = True
        elif call.upload is not None:
            self._uploads.append((_unlinked(call), step))

    def restart(self) -> None:
        """Begin again where nothing is out; a file that the provider has is not sent twice.

        Answers to other harmless calls are forgotten: a lookup may find something else now.
        """
        self.steps.clear()

    def known(self, call: HttpCall) -> HttpReply | None:
        """Return the answer to a harmless upload that was made before the message began again."""
        given = _unlinked(call)
        return next((reply for made, reply in self._uploads if made == given), None)


async def drive(
    exchange: Generator[HttpCall, HttpReply, T], perform: Perform, transcript: Transcript
) -> T:
    """Run *exchange* to its end and return its answer.

    Raises:
        GatewayError: What the channel raised, or what `perform` raised and the channel did not
            handle. `transcript.failed` is the call it is about.
    """
    transcript.failed = None
    try:
        call = next(exchange)
        for step in transcript.steps:
            call = _tell(exchange, step)
        while True:
            transcript.failed = call
            step = transcript.known(call) or await _outcome(perform, call)
            following = _tell(exchange, step)
            transcript.add(call, step)
            call = following
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        exchange.close()


def cautious(perform: Perform) -> Perform:
    """Return a *perform* for a message that may be out already.

    A call with a retry key may be repeated, and so may a harmless one; the first other call is
    where it ends, as an earlier process may have made it.
    """

    async def careful(call: HttpCall) -> HttpReply:
        if not (call.idempotent or call.harmless):
            raise CutOffError("an earlier try was cut off")
        return await perform(call)

    return careful


async def _outcome(perform: Perform, call: HttpCall) -> HttpReply | GatewayError:
    try:
        return await perform(call)
    except GatewayError as error:
        return error


def _tell(exchange: Generator[HttpCall, HttpReply, T], step: HttpReply | GatewayError) -> HttpCall:
    return exchange.throw(step) if isinstance(step, GatewayError) else exchange.send(step)


def _unlinked(call: HttpCall) -> HttpCall:
    """Return *call* without the links to its file, which are others for each try."""
    if call.upload is None:
        return call
    file = msgspec.structs.replace(call.upload.file, link="", preview_link="")
    return msgspec.structs.replace(call, upload=msgspec.structs.replace(call.upload, file=file))


def _taken(reply: HttpReply) -> bool:
    return 200 <= reply.status < 300 or reply.status == _ALREADY_ACCEPTED  # noqa: PLR2004 (success)

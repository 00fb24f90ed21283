"""Driving one send: the channel asks for calls, the door makes them, none is made twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import AmbiguousSendError, GatewayError

T = TypeVar("T")

Perform = Callable[[HttpCall], Awaitable[HttpReply]]

_ALREADY_ACCEPTED = 409  # LINE's answer to a retry key that it has seen


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

    @property
    def begun(self) -> bool:
        """Whether the provider has taken a part of the message."""
        return any(isinstance(step, HttpReply) and _taken(step) for step in self.steps)


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
            step = await _outcome(perform, call)
            call = _tell(exchange, step)
            transcript.steps.append(step)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        exchange.close()


def keyed_only(perform: Perform) -> Perform:
    """Return a *perform* for a message that may be out already: retry key or nothing."""

    async def careful(call: HttpCall) -> HttpReply:
        if not call.idempotent:
            raise AmbiguousSendError("an earlier try was cut off")
        return await perform(call)

    return careful


async def _outcome(perform: Perform, call: HttpCall) -> HttpReply | GatewayError:
    try:
        return await perform(call)
    except GatewayError as error:
        return error


def _tell(exchange: Generator[HttpCall, HttpReply, T], step: HttpReply | GatewayError) -> HttpCall:
    return exchange.throw(step) if isinstance(step, GatewayError) else exchange.send(step)


def _taken(reply: HttpReply) -> bool:
    return 200 <= reply.status < 300 or reply.status == _ALREADY_ACCEPTED  # noqa: PLR2004 (success)

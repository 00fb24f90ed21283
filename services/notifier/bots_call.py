"""Calling a webhook bot: signed, through the door, again where a repeat is safe, until its time."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from libs.common.bots.secrets import open_secret
from libs.common.bots.webhook import BotAnswer, BotCase, read_answer, request
from libs.common.documents import Bot
from libs.common.errors import (
    AmbiguousSendError,
    BadSignatureError,
    BusUnavailableError,
    GatewayError,
    MalformedPayloadError,
    NotSentError,
    RejectedError,
    SealError,
    ThrottledError,
)
from libs.common.http import AllowedBase, Door, allowed_base, is_loopback
from libs.common.seal import Sealer
from libs.common.targets import ForbiddenTargetError, parsed
from services.notifier import metrics
from services.notifier.bots_breaker import Breaker, Breakers, Places

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
LEAST_S = 0.1
"""A call with less time than this before it is not begun."""

_LOCAL = "localhost"
_STATUS = re.compile(r"HTTP \d{3}")


class BotFailedError(GatewayError):
    """The bot gives no answer that could be used.

    Args:
        detail: For the log.
        why: As one word for people, see `HandOff.detail`.
    """

    code = "bot_failed"

    def __init__(self, detail: str, why: str) -> None:
        super().__init__(detail)
        self.why = why


class MovedOnError(GatewayError):
    """Nobody waits for the bot's answer any more."""

    code = "moved_on"


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What calling needs.

    Attributes:
        timeout_s: Seconds that a bot has for one call.
        local: Bots may be on this machine (trials).
        stop: Set when the service stops: no further try is begun.
        now: UTC.
    """

    door: Door
    sealer: Sealer
    timeout_s: float
    local: bool
    stop: asyncio.Event
    now: Callable[[], datetime]


class Caller:
    """Calls bots, each as far as its breaker and its places allow."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.breakers = Breakers(time.monotonic)
        self.places = Places()

    async def call(
        self, bot: Bot, case: BotCase, awaited: Callable[[], Awaitable[bool]]
    ) -> BotAnswer:
        """Return the bot's answer, be it that it answers later.

        Args:
            bot: Whom to call.
            case: What it is asked; its `deadline` is kept.
            awaited: Tells before each further try whether anybody still waits for the answer.

        Raises:
            BotFailedError: It gives none in time, none that could be used, or rests.
            MovedOnError: Nobody waits any more.
            BusUnavailableError: The service stops.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._placed(bot, case)
            except (NotSentError, AmbiguousSendError) as error:
                wait_s = max(pause_s * random.uniform(0.8, 1.2), getattr(error, "delay_s", 0.0))  # noqa: S311
                if wait_s + LEAST_S >= self._left_s(case):
                    raise BotFailedError(error.code, _why(error)) from None
            await self._pause(wait_s)
            if not await awaited():
                raise MovedOnError("the session has moved on")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _placed(self, bot: Bot, case: BotCase) -> BotAnswer:
        """Call once there is a place, if the bot does not rest by then."""
        try:
            async with asyncio.timeout(max(self._left_s(case), 0.0)) as waiting:
                async with self.places.place(bot):
                    waiting.reschedule(None)
                    return await self._guarded(bot, case)
        except TimeoutError:
            _count("no_place")
            raise BotFailedError("no_place", "no_place") from None

    async def _guarded(self, bot: Bot, case: BotCase) -> BotAnswer:
        """Call once, under the breaker.

        Raises:
            NotSentError, AmbiguousSendError: A repeat is safe.
            BotFailedError: A repeat cannot help.
        """
        breaker = self.breakers.of(bot)
        if not breaker.admits(time.monotonic()):
            _count("resting")
            raise BotFailedError("resting", "breaker_open")
        try:
            answer = await self._once(bot, case)
        except GatewayError as error:
            _count(error.reason if isinstance(error, RejectedError) else error.code)
            _judge(breaker, error)
            extra = {"bot": bot.id, "workspace": bot.workspace, "reason": _told(error)}
            log.warning("bot.call_failed", extra=extra)
            if isinstance(error, NotSentError | AmbiguousSendError):
                raise
            raise BotFailedError(_told(error), _why(error)) from None
        except BaseException:
            breaker.spared()
            raise
        breaker.succeeded()
        _count("later" if answer.accepted_later else "answered")
        return answer

    async def _once(self, bot: Bot, case: BotCase) -> BotAnswer:
        secret = open_secret(self._reach.sealer, bot)
        call = request(bot, secret, case, self._reach.now())
        left_s = self._left_s(case)
        if left_s < LEAST_S:
            raise NotSentError("no time is left")
        began = time.monotonic()
        try:
            reply = await self._reach.door.perform(
                call,
                timeout_s=min(self._reach.timeout_s, left_s),
                allow=local_base(bot.url) if self._reach.local else None,
            )
        finally:
            metrics.BOT_SECONDS.observe(time.monotonic() - began)
        return read_answer(reply)

    async def _pause(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._reach.stop.wait()
        except TimeoutError:
            return
        raise BusUnavailableError("the service stops")

    def _left_s(self, case: BotCase) -> float:
        return (case.deadline - self._reach.now()).total_seconds()


def local_base(url: str) -> AllowedBase | None:
    """Return the exception for a bot on this machine; None for any other, which is no exception.

    Raises:
        ForbiddenTargetError: It is no http or https address.
    """
    host = parsed(url).host or ""
    try:
        here = host == _LOCAL or is_loopback(host)
    except ValueError:  # a name
        here = False
    return allowed_base(url) if here else None


def _judge(breaker: Breaker, error: GatewayError) -> None:
    if isinstance(error, ThrottledError):  # it lives, and says when to come again
        breaker.spared()
    elif isinstance(error, RejectedError) and error.reason == "gone":
        breaker.failed(time.monotonic(), for_good=True)
    else:
        breaker.failed(time.monotonic())


def _told(error: GatewayError) -> str:
    """Return why, for the log and for people: never a text or an address."""
    known = (MalformedPayloadError, BadSignatureError, SealError, ForbiddenTargetError)
    if isinstance(error, known):
        return f"{error.code}: {error.detail}"
    return error.detail


_WHY: tuple[tuple[type[GatewayError], str], ...] = (
    (ForbiddenTargetError, "forbidden_target"),
    (MalformedPayloadError, "malformed_answer"),
    (SealError, "secret"),
    (ThrottledError, "throttled"),
    (NotSentError, "not_reached"),
    (AmbiguousSendError, "no_answer"),
)


def _why(error: GatewayError) -> str:
    """Return as one word what is wrong with the bot."""
    if isinstance(error, RejectedError) and error.reason == "gone":
        return "gone"
    if _STATUS.fullmatch(error.detail):
        return error.detail.replace("HTTP ", "http_")
    named = error.reason if isinstance(error, RejectedError) else error.code
    return next((why for kind, why in _WHY if isinstance(error, kind)), named)


def _count(outcome: str) -> None:
    metrics.BOT_CALLS.labels(metrics.bot_outcome_label(outcome)).inc()

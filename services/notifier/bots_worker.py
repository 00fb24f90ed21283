"""From the fact that a bot is asked to its answer, or to a human: one of both, always.

A crash anywhere delivers the fact again: the bot is called with the same id, and the commands have
the same keys, so that all of it has the effect of one. The router's own timer stands behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from libs.common.bot_answers import Means, Result, carry_out, hand_off
from libs.common.bots.orders import Because, Turn
from libs.common.bots.webhook import BotAnswer, BotCase
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.documents import Bot
from libs.common.errors import BusUnavailableError, InvalidInputError
from libs.common.events import Fact
from services.notifier import metrics
from services.notifier.bots_call import BotFailedError, Caller, MovedOnError
from services.notifier.bots_case import Asked, Cases

log = logging.getLogger(__name__)
T = TypeVar("T")

UNTOLD_S = 30.0
"""Time of a bot where the fact tells none."""
PERSEVERES_S = 5.0
"""How long a router that does not answer is asked again before the whole is repeated."""
_PAUSE_S = 0.25
_decode = msgspec.json.Decoder(Fact).decode


class Worker:
    """Answers the facts `bot.asked`.

    Args:
        cases: Reads what a bot is told.
        caller: Calls bots.
        means: Carries out what they answer.
        now: UTC.
    """

    def __init__(
        self, cases: Cases, caller: Caller, means: Means, now: Callable[[], datetime]
    ) -> None:
        self._cases = cases
        self._caller = caller
        self._means = means
        self._now = now

    async def handle(self, delivery: Delivery) -> Outcome:
        """See `LaneHandler`.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            fact = _decode(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no fact")
        due = fact.due or fact.at + timedelta(seconds=UNTOLD_S)
        asked = await self._cases.asked(fact, due)
        if asked is None:
            metrics.BOT_TURNS.labels("moved_on").inc()
            return Ack()
        return await self._served(fact, asked)

    async def _served(self, fact: Fact, asked: Asked) -> Outcome:
        bot = asked.bot
        if self._now() >= asked.due:
            return await self._to_human(asked, "bot_silent", "late", "its time was over")
        if bot is None or not bot.enabled or bot.kind != "webhook":
            return await self._to_human(asked, "bot_failed", "no_bot", "it is no webhook bot now")
        return await self._called(fact, asked, bot)

    async def _called(self, fact: Fact, asked: Asked, bot: Bot) -> Outcome:
        case = await self._cases.case(asked, bot, self._now())
        if case is None:  # the fact is told behind the message, so this does not last
            return Retry(code="not_stored")
        try:
            answer = await self._caller.call(bot, case, lambda: self._cases.still(fact))
        except MovedOnError:
            metrics.BOT_TURNS.labels("moved_on").inc()
            return Ack()
        except BotFailedError as error:
            return await self._to_human(asked, "bot_failed", error.why, error.detail)
        if _is_receipt(answer):
            return await self._promised(asked, case)
        return await self._answered(fact, asked, answer)

    async def _promised(self, asked: Asked, case: BotCase) -> Outcome:
        """The bot answers later, where it can; the router's timer waits for it."""
        if not case.reply_url:
            detail = "there is no way to answer later"
            return await self._to_human(asked, "bot_failed", "no_reply_url", detail)
        metrics.BOT_TURNS.labels("later").inc()
        return Ack()

    async def _answered(self, fact: Fact, asked: Asked, answer: BotAnswer) -> Outcome:
        try:
            result = await persevering(
                lambda: carry_out(self._means, asked.session, _turn(asked), answer)
            )
        except InvalidInputError as error:
            return await self._to_human(asked, "bot_failed", "malformed_answer", error.detail)
        if result.verdict == "answered" and await self._cases.still(fact):
            # Before a crash another answer of the bot was begun, and not finished.
            return await self._to_human(asked, "bot_failed", "answered_twice", "differently")
        self._note(asked, result)
        return Ack()

    async def _to_human(self, asked: Asked, because: Because, code: str, detail: str) -> Outcome:
        """Ask for a human; *code* is told to them, *detail* to the log."""
        why = Result(verdict="handed_off", code=code, detail=detail)
        result = await persevering(
            lambda: hand_off(self._means, asked.session, _turn(asked), because, why)
        )
        self._note(asked, result)
        return Ack()

    def _note(self, asked: Asked, result: Result) -> None:
        metrics.BOT_TURNS.labels(result.verdict).inc()
        if result.verdict == "handed_off":
            session = asked.session
            extra = {"session": session.id, "workspace": session.workspace, "bot": session.bot_id}
            log.warning(
                "bot.handed_off", extra={**extra, "code": result.code, "reason": result.detail}
            )


def _is_receipt(answer: BotAnswer) -> bool:
    """Tell whether the bot answers later; what it says besides that is an answer already."""
    return answer.accepted_later and not (answer.messages or answer.hand_off or answer.end)


def _turn(asked: Asked) -> Turn:
    session = asked.session
    nobody = Bot(id=session.bot_id, workspace=session.workspace, name="", kind="webhook")
    return Turn(
        bot=asked.bot or nobody, session=session.id, epoch=asked.epoch, message=asked.message
    )


async def persevering(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat *work* for a while when the router or the bus is away, rather than call a bot again.

    Raises:
        BusUnavailableError: It stayed away.
    """
    until = asyncio.get_running_loop().time() + PERSEVERES_S
    while True:
        try:
            return await work()
        except BusUnavailableError:
            if asyncio.get_running_loop().time() >= until:
                raise
        await asyncio.sleep(_PAUSE_S)

"""What the router is asked to do for each answer of a bot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.bots.orders import Turn, message_parts, orders
from libs.common.bots.webhook import BotAnswer, BotMessage
from libs.common.commands import EndSession, HandOff, SendMessage
from libs.common.documents import Attachment
from libs.common.errors import InvalidInputError
from libs.common.events import MediaPart, TextPart
from tests.bots.bots import web_bot

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
TURN = Turn(bot=web_bot(), session="s1", epoch=7, message="m1")


def answer(*texts: str, **more: Any) -> BotAnswer:
    return BotAnswer(
        messages=tuple(BotMessage(parts=(TextPart(text=text),)) for text in texts), **more
    )


def told(given: BotAnswer) -> list[tuple[str, str]]:
    """Return each command's verb, and what it settles or why it is given."""
    found = []
    for order in orders(TURN, given, [one.parts for one in given.messages], NOW):
        match order:
            case SendMessage():
                found.append((order.parts[0].text, order.answers))  # type: ignore[union-attr]
            case HandOff():
                found.append(("human", order.because))
            case EndSession():
                found.append(("end", order.reason))
    return found


CASES = {
    "one message settles what was asked": (answer("a"), [("a", "m1")]),
    "of several the last does": (answer("a", "b"), [("a", ""), ("b", "m1")]),
    "a hand-off behind them does": (
        answer("a", hand_off=True),
        [("a", ""), ("human", "bot_asked")],
    ),
    "an end behind them does": (answer("a", end=True), [("a", ""), ("end", "ended_by_bot")]),
    "a hand-off alone": (answer(hand_off=True), [("human", "bot_asked")]),
    "an end alone": (answer(end=True), [("end", "ended_by_bot")]),
    "nothing at all leaves nobody waiting": (answer(), [("human", "bot_silent")]),
}


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_an_answer_becomes(given: BotAnswer, expected: list[tuple[str, str]]) -> None:
    assert told(given) == expected


def test_every_order_carries_the_epoch_and_a_key_that_a_repeat_has_too() -> None:
    given = answer("a", "b", hand_off=True)
    parts = [one.parts for one in given.messages]
    first, again = orders(TURN, given, parts, NOW), orders(TURN, given, parts, NOW)
    assert first == again
    assert {order.epoch for order in first} == {7}
    assert len({order.key for order in first}) == len(first)
    moved = Turn(bot=TURN.bot, session="s1", epoch=8, message="m1")
    assert not {o.key for o in orders(moved, given, parts, NOW)} & {o.key for o in first}


def test_files_come_before_the_text_with_all_that_is_known_of_them() -> None:
    file = Attachment(
        id="f1",
        workspace="acme",
        direction="out",
        state="stored",
        kind="image",
        name="a.png",
        mime_type="image/png",
        size_bytes=9,
        created_at=NOW,
    )
    message = BotMessage(parts=(TextPart(text="look"),), attachments=("f1",))
    media, text = message_parts(message, {"f1": file}, "messages[0]")
    assert isinstance(media, MediaPart)
    assert (media.attachment, media.kind, media.size_bytes, text) == (
        "f1",
        "image",
        9,
        TextPart(text="look"),
    )


def test_a_file_that_is_not_there_is_named() -> None:
    message = BotMessage(parts=(), attachments=("f1", "f2"))
    with pytest.raises(InvalidInputError) as refused:
        message_parts(message, {}, "messages[3]")
    assert refused.value.facts["field"] == "messages[3].attachments[0]"

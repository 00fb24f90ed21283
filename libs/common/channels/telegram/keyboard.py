"""Things to tap below a message of ours.

Source: Telegram Bot API 10, "InlineKeyboardButton" and "ReplyKeyboardMarkup" (read 2026-09).
"""

from __future__ import annotations

from typing import Any

from libs.common.events import Choice, ChoicesPart
from libs.common.outgoing import sendable
from libs.common.text import measure

TEXT_LIMIT = 4096
DATA_BYTES = 64
MOST_BUTTONS = 100


def can_show(part: ChoicesPart) -> bool:
    """Tell whether Telegram can show the choices as buttons, so that each tap is told apart."""
    shown = text_of(part)
    if not part.text.strip() or measure(shown, "utf16") > TEXT_LIMIT:
        return False
    return len(part.choices) <= MOST_BUTTONS and all(map(_fits, part.choices))


def _fits(choice: Choice) -> bool:
    return bool(sendable(choice.title).strip()) and (
        bool(choice.url) or len(_data(choice).encode("utf-8", "replace")) <= DATA_BYTES
    )


def text_of(part: ChoicesPart) -> str:
    """Return the text above the buttons; descriptions stand below it, as no button has one."""
    notes = [f"{one.title}: {one.description}" for one in part.choices if one.description]
    return sendable("\n".join((part.text, *(["", *notes] if notes else []))))


def markup(part: ChoicesPart) -> dict[str, Any]:
    """Return buttons below the message, which return their payload.

    Quick replies that bring back no more than their title are a keyboard that vanishes instead.
    """
    plain = all(not one.url and one.payload in {"", one.title} for one in part.choices)
    if part.style == "quick_reply" and plain:
        keys = [[{"text": sendable(one.title)}] for one in part.choices]
        return {"keyboard": keys, "one_time_keyboard": True, "resize_keyboard": True}
    return {"inline_keyboard": [[_button(one)] for one in part.choices]}


def _button(choice: Choice) -> dict[str, str]:
    title = sendable(choice.title)
    if choice.url:
        return {"text": title, "url": choice.url}
    return {"text": title, "callback_data": _data(choice)}


def _data(choice: Choice) -> str:
    return sendable(choice.payload or choice.title)

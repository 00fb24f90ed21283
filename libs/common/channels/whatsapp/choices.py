"""Things to tap in WhatsApp: up to three reply buttons, or a list of up to ten rows.

Source: WhatsApp Cloud API, "Interactive reply buttons messages" and "Interactive list messages"
(read 2026-09). Titles and ids must differ within a message.
"""

from __future__ import annotations

from typing import Any

from libs.common.events import Choice, ChoicesPart
from libs.common.outgoing import sendable

BODY_LIMIT = 1024
MOST_BUTTONS, BUTTON_TITLE, BUTTON_ID = 3, 20, 256
MOST_ROWS, ROW_TITLE, ROW_DESCRIPTION, ROW_ID = 10, 24, 72, 200
LABEL_LIMIT = 20
_LABEL = "\N{TRIGRAM FOR HEAVEN}"
"""Opens a list that has no label of its own: three lines, as menus have in any language."""


def can_show(part: ChoicesPart) -> bool:
    """Tell whether the choices can be tapped, with nothing of them left out."""
    body = sendable(part.text).strip()
    titles = [_title(one) for one in part.choices]
    ids = {_id(one) for one in part.choices}
    differ = len(set(titles)) == len(ids) == len(part.choices)
    opened = any(one.url for one in part.choices)
    fits = bool(body) and len(body) <= BODY_LIMIT and all(titles)
    return fits and differ and not opened and (_as_buttons(part) or _as_list(part))


def interactive(part: ChoicesPart) -> dict[str, Any]:
    """Return the `interactive` object of choices that `can_show` let through."""
    body = {"text": sendable(part.text).strip()}
    if _as_buttons(part):
        buttons = [
            {"type": "reply", "reply": {"id": _id(one), "title": _title(one)}}
            for one in part.choices
        ]
        return {"type": "button", "body": body, "action": {"buttons": buttons}}
    label = sendable(part.label).strip() or _LABEL
    action = {"button": label, "sections": [{"rows": [_row(one) for one in part.choices]}]}
    return {"type": "list", "body": body, "action": action}


def _as_buttons(part: ChoicesPart) -> bool:
    few = part.style != "list" and len(part.choices) <= MOST_BUTTONS
    return few and all(
        len(_title(one)) <= BUTTON_TITLE and len(_id(one)) <= BUTTON_ID and not one.description
        for one in part.choices
    )


def _as_list(part: ChoicesPart) -> bool:
    few = len(part.choices) <= MOST_ROWS and len(sendable(part.label).strip()) <= LABEL_LIMIT
    return few and all(
        len(_title(one)) <= ROW_TITLE
        and len(sendable(one.description)) <= ROW_DESCRIPTION
        and len(_id(one)) <= ROW_ID
        for one in part.choices
    )


def _row(choice: Choice) -> dict[str, str]:
    row = {"id": _id(choice), "title": _title(choice)}
    return {**row, "description": sendable(choice.description)} if choice.description else row


def _title(choice: Choice) -> str:
    return sendable(choice.title).strip()


def _id(choice: Choice) -> str:
    """Return what comes back with a tap; blanks at its ends would not."""
    return sendable(choice.payload).strip() or _title(choice)

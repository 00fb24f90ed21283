"""A message template as its components.

Source: WhatsApp Cloud API, "Template messages" and "Template components" (read 2026-09). Buttons
are numbered from 0, and only those with a place-holder take a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libs.common.channel import Account
from libs.common.events import TemplatePart
from libs.common.outgoing import sendable

_BUTTONS = {
    "url": ("text", "text"),
    "quick_reply": ("payload", "payload"),
    "copy_code": ("coupon_code", "coupon_code"),
}
"""Kind of a button to the type of its parameter, and the field that holds the value."""


def template(account: Account, part: TemplatePart, header: dict[str, Any] | None) -> dict[str, Any]:
    """Return the `template` object; *header* is the uploaded file that stands above, if any."""
    made: dict[str, Any] = {"name": part.name, "language": {"code": part.language}}
    components = [*_header(part, header), *_body(part), *_buttons(account, part)]
    return {**made, "components": components} if components else made


def _header(part: TemplatePart, header: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if header is not None:
        yield {"type": "header", "parameters": [header]}
    elif part.header:
        yield {"type": "header", "parameters": [_text(part.header)]}


def _body(part: TemplatePart) -> Iterator[dict[str, Any]]:
    if part.body:
        yield {"type": "body", "parameters": [_text(value) for value in part.body]}


def _buttons(account: Account, part: TemplatePart) -> Iterator[dict[str, Any]]:
    kinds = _kinds(account, part)
    for index, value in enumerate(part.buttons):
        kind = kinds[index] if index < len(kinds) else "url"
        if value:
            name, field = _BUTTONS[kind]
            parameters = [{"type": name, field: sendable(value)}]
            yield {
                "type": "button", "sub_type": kind, "index": str(index), "parameters": parameters,
            }  # fmt: skip


def _kinds(account: Account, part: TemplatePart) -> tuple[str, ...]:
    """Return the kinds of the template's buttons, as far as the account knows them."""
    for known in account.templates:
        if (known.name, known.language) == (part.name, part.language):
            return known.buttons
    return ()


def _text(value: str) -> dict[str, str]:
    """Values take no line breaks, tabs or runs of blanks: each becomes one blank."""
    return {"type": "text", "text": " ".join(sendable(value).split())}

"""Contact cards of ours: Telegram shows one phone number, and the rest as a vCard.

Source: Telegram Bot API 10, "sendContact" (read 2026-09); RFC 2426 for vCard 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from libs.common.channel import Account, HttpCall
from libs.common.channels.telegram import calls
from libs.common.errors import RejectedError
from libs.common.events import ContactPart, TextPart
from libs.common.outgoing import sendable

_VCARD_BYTES = 2048
_ESCAPED = re.compile(r"([\\,;])")


def readable(card: ContactPart) -> ContactPart | TextPart:
    """Return *card* with what can be shown; as text where it has no phone number.

    Raises:
        RejectedError: `bad_content`: it says nothing at all.
    """
    shown = ContactPart(
        name=sendable(card.name).strip(),
        phones=tuple(filter(None, (sendable(one).strip() for one in card.phones))),
        emails=tuple(filter(None, (sendable(one).strip() for one in card.emails))),
    )
    if shown.phones:
        return shown
    lines = "\n".join(filter(None, (shown.name, *shown.emails)))
    if not lines:
        raise RejectedError("an empty contact", reason="bad_content")
    return TextPart(text=lines)


def contact_call(account: Account, card: ContactPart, common: Mapping[str, Any]) -> HttpCall:
    """Return the call that shows a card which `readable` let through."""
    name = card.name or card.phones[0]
    fields = {**common, "phone_number": card.phones[0], "first_name": name}
    vcard = _vcard(name, card.phones, card.emails)
    if (card.emails or len(card.phones) > 1) and len(vcard.encode()) <= _VCARD_BYTES:
        fields["vcard"] = vcard
    return calls.call(account, "sendContact", fields)


def _vcard(name: str, phones: Sequence[str], emails: Sequence[str]) -> str:
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:;{_escaped(name)};;;",
        f"FN:{_escaped(name)}",
        *(f"TEL:{_escaped(phone)}" for phone in phones),
        *(f"EMAIL:{_escaped(email)}" for email in emails),
        "END:VCARD",
    ]
    return "\r\n".join(lines)


def _escaped(value: str) -> str:
    return _ESCAPED.sub(r"\\\1", " ".join(value.split()))

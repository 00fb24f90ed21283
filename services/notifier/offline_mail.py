"""The email to a visitor of the web chat who has left: their last words, then our replies. Pure.

The address comes from a form and may be somebody else's. So what the visitor wrote is quoted short
and without links, and the name they gave stands nowhere: nobody writes to others through us.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from libs.common.documents import Message
from libs.common.events import (
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.mails import Mail
from libs.common.outgoing import choices_text, place_text
from services.notifier.mail_letter import Letter, Said, plain, rendered

QUOTED_CHARACTERS = 300
_WORD = re.compile(r"\S+")
_LINK = re.compile(r"://|@|\w\.[^\W\d]{2,}|[a-z0-9][\u3002\uff0e\uff61][a-z]{2,}", re.IGNORECASE)
"""What mail programs make a link of, a bare domain too."""
_NAMES = {"bot": "Assistant", "automation": "Automatic message"}


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Around what was said.

    Attributes:
        key: See `Mail.key`.
        name: Of the account, as its visitors know it; empty: not known.
        zone: Of the times.
        return_url, stop_url: Links back into the conversation, and to get no more emails; or "".
        brand_url: Where our name leads; None: it is nowhere.
    """

    key: str
    workspace: str
    session: str
    to: str
    name: str
    zone: ZoneInfo
    return_url: str = ""
    stop_url: str = ""
    brand_url: str | None = None


def mail_of(envelope: Envelope, asked: Message | None, replies: Sequence[Message]) -> Mail:
    """Return the email with *replies*, oldest first, behind what the visitor *asked* last."""
    who = envelope.name or "our team"
    several = len(replies) > 1
    title = f"{len(replies)} new messages from {who}" if several else f"A new message from {who}"
    said = [_said(asked, "You", envelope.zone, quoted=True)] if asked is not None else []
    said += [_said(reply, _name(reply, who), envelope.zone) for reply in replies]
    how = "open the conversation" if envelope.return_url else "answer on our site"
    letter = Letter(
        title=title,
        lines=("You had left our chat when we answered.",),
        said=tuple(said),
        button="Open the conversation and answer",
        url=envelope.return_url,
        footer=(f"Answers to this email are not read; to answer us, {how}.", *_notice(envelope)),
        stop="No more emails of this kind",
        stop_url=envelope.stop_url,
        brand_url=envelope.brand_url,
    )
    return Mail(
        key=envelope.key,
        workspace=envelope.workspace,
        kind="visitor",
        to=envelope.to,
        from_name=envelope.name,
        subject=title,
        text=plain(letter),
        html=rendered(letter),
        unsubscribe=envelope.stop_url,
        about=envelope.session,
    )


def _notice(envelope: Envelope) -> tuple[str, ...]:
    why = "You get this because this address was given in our chat."
    if not envelope.return_url:
        return (why,)
    return (why, "The link opens your conversation to whoever has it: keep it to yourself.")


def _name(reply: Message, who: str) -> str:
    if reply.sender == "agent":
        return reply.sender_name or who
    return _NAMES.get(reply.sender, who)


def _said(message: Message, who: str, zone: ZoneInfo, *, quoted: bool = False) -> Said:
    text = "\n".join(filter(None, (_words(part) for part in message.parts)))
    files = tuple(
        part.name or f"a file: {part.kind}" for part in message.parts if isinstance(part, MediaPart)
    )
    if quoted:
        text, files = short(text), tuple("a file" for _ in files)
    return Said(who=who, at=_shown(message.occurred_at, zone), text=text, files=files)


def _words(part: ContentPart) -> str:
    match part:
        case TextPart() | TemplatePart():
            return part.text
        case ChoicesPart():
            return choices_text(part)
        case LocationPart():
            return place_text(part)
        case ContactPart():
            return " ".join((part.name, *part.phones, *part.emails))
        case _:
            told = (getattr(part, name, "") for name in ("title", "url"))
            return " ".join(filter(None, told))


def short(text: str) -> str:
    """Return the beginning of what a visitor wrote, without links."""
    cut = _WORD.sub(lambda word: "[link]" if _LINK.search(word[0]) else word[0], text)
    return cut if len(cut) <= QUOTED_CHARACTERS else cut[: QUOTED_CHARACTERS - 1] + "…"


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")

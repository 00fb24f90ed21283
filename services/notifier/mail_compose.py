"""An alert as a mail: who wrote, where, what, and the one link to act on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from libs.common.alerts import NOBODY_REACTED, Alert
from libs.common.events import (
    ActionPart,
    ChoicesPart,
    ContactPart,
    LocationPart,
    MediaPart,
    OrderPart,
    SharePart,
    TemplatePart,
    TextPart,
)
from libs.common.mail_bytes import clean_header, message_id
from libs.common.mails import Mail
from libs.common.switches import AlertTrigger
from libs.common.timeline import TimelineEntry
from libs.common.unsubscribe import WORDS
from services.notifier.mail_letter import Letter, Said, plain, rendered

SHOWN_MESSAGES = 10
_SHOWN_CHARS = 2000
_SOMEBODY = "A visitor"

CHANNEL_NAMES: Mapping[str, str] = {
    "messenger": "Messenger",
    "fb_comment": "Facebook comments",
    "instagram": "Instagram",
    "line": "LINE",
    "whatsapp": "WhatsApp",
    "wechat": "WeChat",
    "telegram": "Telegram",
    "web": "web chat",
}
LIST_NAMES: Mapping[str, str] = {
    "bot_hosted": "Bot hosted",
    "unassigned": "Unassigned",
    "assigned": "Assigned",
    "ended": "Ended",
}
MESSAGES_TOLD: frozenset[AlertTrigger] = frozenset(
    {"bot_hosted.message", "unassigned.message", "assigned.message"}
)
_SUBJECTS: Mapping[AlertTrigger, str] = {
    "handoff.requested": "{who} asks for a person",
    "assigned.to_me": "Assigned to you: {who}",
    "mention": "You were mentioned: {who}",
    "notice": "Needs you: {who}",
    "session.ended_automatically": "Ended by itself: {who}",
    "send.failed": "Not delivered: a message to {who}",
    "account.unhealthy": "An account needs attention: {account}",
    "import.finished": "Your import is finished",
}


_OURS: frozenset[AlertTrigger] = frozenset({"mention"})
"""Triggers whose excerpt is not what a visitor said; nor is that of what is about no session."""


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the mail is for, and how it is to be.

    Attributes:
        zone: IANA name of the wall clock that times are shown by.
        public_url: Where links lead; empty: there are none.
        stop_url: The page on which the reader wants no more of `governing` the mail.
        domain: The right side of our Message-IDs.
        branded: Our name is shown.
    """

    address: str
    name: str
    zone: str = "UTC"
    public_url: str = ""
    stop_url: str = ""
    domain: str
    branded: bool = True


def compose(alert: Alert, entries: Sequence[TimelineEntry], reader: Reader) -> Mail:
    """Return the mail; *entries* are the visitor's newest that the reader has not seen."""
    letter = _letter(alert, entries, reader)
    root = _root(alert, reader.domain)
    return Mail(
        key=mail_key(alert),
        workspace=alert.workspace,
        kind="alert",
        to=reader.address,
        to_name=reader.name,
        subject=_title(alert),
        text=plain(letter),
        html=rendered(letter),
        message_id=message_id(alert.workspace, alert.id, n=alert.n, domain=reader.domain),
        in_reply_to=root,
        references=(root,) if root else (),
        unsubscribe=reader.stop_url,
        about=alert.session,
    )


def governing(alert: Alert) -> AlertTrigger:
    """Return the trigger by which its reader has, or ends, the mails of this kind."""
    return "notice" if alert.because == NOBODY_REACTED else alert.trigger


def mail_key(alert: Alert) -> str:
    """Return the key of an alert's mail; a rung that raises it again is another mail."""
    return f"alert:{alert.id}:{alert.n}"


def _root(alert: Alert, domain: str) -> str:
    """Return the id that all mails to an agent about a session refer to; no mail has it."""
    if not alert.session:
        return ""
    return message_id(alert.workspace, "thread", alert.session, alert.agent, domain=domain)


def _title(alert: Alert) -> str:
    if alert.summary:
        return f"{_many(alert.count, 'conversation')} waiting"
    if alert.because == NOBODY_REACTED:
        return f"Nobody has reacted: {_who(alert)}"
    if alert.trigger in MESSAGES_TOLD:
        return f"{_many(alert.count, 'new message')} from {_inside(_who(alert))}"
    form = _SUBJECTS[alert.trigger]
    if alert.trigger == "account.unhealthy" and not alert.account and alert.excerpt:
        return "A webhook endpoint needs attention"  # what else fails has an account
    if not alert.session and not alert.account:  # nobody and nothing to name
        return form.partition(":")[0]
    who = _who(alert) if form.startswith("{") else _inside(_who(alert))
    return form.format(who=who, account=alert.account)


def _inside(who: str) -> str:
    """Return who it is as it stands inside a sentence."""
    return who[0].lower() + who[1:] if who.startswith(_SOMEBODY) else who


def _who(alert: Alert) -> str:
    name = clean_header(alert.contact_name) or _SOMEBODY
    channel = CHANNEL_NAMES.get(alert.channel, alert.channel)
    return f"{name} ({channel})" if channel else name


def _letter(alert: Alert, entries: Sequence[TimelineEntry], reader: Reader) -> Letter:
    said = tuple(_said(entry, alert, reader.zone) for entry in entries[-SHOWN_MESSAGES:])
    if not said and alert.excerpt and alert.session and alert.trigger not in _OURS:
        at = _clock(alert.at, reader.zone)
        said = (Said(who=clean_header(alert.contact_name) or _SOMEBODY, at=at, text=alert.excerpt),)
    more = max(alert.count - len(said), 0) if alert.trigger in MESSAGES_TOLD and said else 0
    return Letter(
        title=_title(alert),
        lines=_lines(alert, reader.zone),
        note=f"The newest {len(said)} of {alert.count}:" if more else "",
        said=said,
        button="Open conversation" if alert.session else "Open",
        url=f"{reader.public_url.rstrip('/')}{alert.url}" if reader.public_url else "",
        footer=(_why(alert),),
        stop="Stop these emails",
        stop_url=reader.stop_url,
        brand_url=reader.public_url if reader.branded else None,
    )


def _why(alert: Alert) -> str:
    of = f"You get this because you are alerted by email of {WORDS[governing(alert)]}"
    if alert.because == NOBODY_REACTED:
        return f"{of}: those whom this waits for have not reacted."
    return f"{of}."


def _lines(alert: Alert, zone: str) -> tuple[str, ...]:
    where = [LIST_NAMES.get(alert.list, "")]
    where += [f"account {alert.account}"] if alert.account and alert.session else []
    counts = ", ".join(f"{name}: {count}" for name, count in alert.counts.items())
    since = f" It waits since {_clock(alert.since, zone)}." if alert.since else ""
    again = f"Nobody has reacted so far.{since}" if alert.rung else ""
    ours = not alert.session or alert.trigger in _OURS
    why = clean_header(alert.excerpt) if ours else ""
    return tuple(line for line in (" · ".join(filter(None, where)), why, counts, again) if line)


def _said(entry: TimelineEntry, alert: Alert, zone: str) -> Said:
    texts = [_text(part) for part in entry.parts]
    text = "\n".join(filter(None, texts))
    return Said(
        who=clean_header(entry.sender.name or alert.contact_name) or _SOMEBODY,
        at=_clock(entry.at, zone),
        text=text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…",
        files=tuple(_file(part) for part in entry.parts if isinstance(part, MediaPart)),
    )


def _text(part: object) -> str:  # noqa: PLR0911 (a line a kind)
    match part:
        case TextPart() | ChoicesPart() | TemplatePart():
            return part.text
        case LocationPart():
            return f"[place] {part.name or part.address}".rstrip()
        case ContactPart():
            return f"[contact] {part.name}".rstrip()
        case ActionPart() | SharePart() if part.title:
            return part.title
        case SharePart():
            return part.url
        case OrderPart():
            return f"[order] {part.note}".rstrip()
        case _:
            return ""


def _file(part: MediaPart) -> str:
    return clean_header(part.name) or part.kind


def _clock(at: datetime, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%d %b %H:%M} {local.tzname()}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")

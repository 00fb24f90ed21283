"""What customers' systems are told: the body of each type of event, and how it is made.

`data` has the ids and the content that a receiver needs without asking back, and never a secret: an
address at a provider is one, so that a file is named by a link of ours. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.alerts import Alert
from libs.common.documents import Direction, Message, SendStatus, Session
from libs.common.events import ContentPart, Fact, MediaKind, MediaPart, TemplatePart, Thread, Way
from libs.common.timeline import Sender, TimelineEntry, fold
from libs.common.webhooks import MOST_BODY, EventType

Link = Callable[[str, str], str]
"""Returns the address of a stored file by its id and name; empty where there is none."""

CUT_TEXT = 8000
"""Characters of text that are left of a message which is too large."""

_encode = msgspec.json.Encoder().encode


class ContactData(msgspec.Struct, frozen=True, kw_only=True):
    """The person, as far as the channel or people told."""

    id: str
    name: str
    phone: str
    email: str
    language: str


class SessionData(msgspec.Struct, frozen=True, kw_only=True):
    """A session, as the event left it.

    Attributes:
        list: Where it stands; `previous_list` and `previous_owner` what was before.
        actor: Who did it: `agent:<id>`, `bot:<id>`, `visitor`, `system`.
        because: The rule or action that is why.
        joined: Of `session.assigned`: assignees that were none before.
        detail: Of `session.handoff`: why the bot gave up.
    """

    session: str
    list: str
    previous_list: str
    owner: str
    previous_owner: str
    assignees: tuple[str, ...]
    joined: tuple[str, ...]
    bot: bool
    tags: tuple[str, ...]
    priority: int
    team: str
    channel: str
    account: str
    contact: ContactData
    actor: str
    because: str
    detail: str
    created_at: datetime
    ended_at: datetime | None
    end_reason: str


class FileData(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a message; `url` works without a login for a week, once the file is fetched."""

    id: str
    kind: MediaKind
    name: str
    mime_type: str
    size_bytes: int
    url: str


class MessageData(msgspec.Struct, frozen=True, kw_only=True):
    """A message, with its parts as the API shows them.

    Attributes:
        text: The text parts, a line each.
        truncated: It was too large: `parts` is empty, and `text` its beginning; ask for the rest.
        at: The provider's time.
        origin: `scheduled:<id>` or `broadcast:<id>` of what was sent by one.
    """

    message: str
    session: str
    channel: str
    account: str
    contact: ContactData
    direction: Direction | None
    sender: Sender
    text: str
    parts: tuple[ContentPart, ...]
    files: tuple[FileData, ...]
    truncated: bool
    at: datetime
    number: int
    status: SendStatus
    reply_to: str
    thread: Thread | None
    way: Way
    origin: str


class StatusData(msgspec.Struct, frozen=True, kw_only=True):
    """How far a message of ours got; `reason` of one that failed is a code, such as `blocked`."""

    message: str
    session: str
    channel: str
    account: str
    status: str
    reason: str
    origin: str


class ContactEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A contact that changed, and the session in which it was told."""

    contact: ContactData
    session: str
    channel: str
    account: str
    blocked: bool


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is told; `id` is the same for every sink."""

    id: str
    agent: str
    trigger: str
    session: str
    list: str
    channel: str
    account: str
    contact_name: str
    excerpt: str
    count: int
    url: str


class AccountData(msgspec.Struct, frozen=True, kw_only=True):
    """An account that needs a person: its state, such as `revoked`, and why, as a code."""

    account: str
    status: str
    because: str
    detail: str


class ImportData(msgspec.Struct, frozen=True, kw_only=True):
    """An import that has ended, and the rows it `created`, `updated` and `failed`."""

    import_id: str = msgspec.field(name="import")
    status: str
    counts: dict[str, int]


class TestData(msgspec.Struct, frozen=True, kw_only=True):
    """A test that `agent` ordered."""

    __test__ = False  # for pytest

    endpoint: str
    agent: str


DATA: Mapping[EventType, type] = {
    "session.created": SessionData,
    "session.moved": SessionData,
    "session.assigned": SessionData,
    "session.ended": SessionData,
    "session.handoff": SessionData,
    "session.tagged": SessionData,
    "message.received": MessageData,
    "message.sent": MessageData,
    "message.status": StatusData,
    "contact.changed": ContactEvent,
    "alert.raised": AlertData,
    "account.unhealthy": AccountData,
    "import.finished": ImportData,
    "webhook.test": TestData,
}
"""What `data` is, by type."""

SESSION_FACTS = frozenset(
    {
        "session.created",
        "session.moved",
        "session.assigned",
        "session.ended",
        "session.handoff",
        "session.tagged",
    }
)
"""Facts that are told by the session alone, under their own name."""
SPOKEN: Mapping[Direction, EventType] = {"in": "message.received", "out": "message.sent"}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell. `id` is that of the fact; `channel` and `account` are for filters."""

    id: str
    type: EventType
    at: datetime
    body: str
    channel: str = ""
    account: str = ""


def body_of(kind: EventType, at: datetime, data: Any) -> str:
    """Return the JSON text that is sent, of at most `MOST_BODY` bytes."""
    body = _encode({"type": kind, "timestamp": at, "data": data})
    if len(body) > MOST_BODY and isinstance(data, MessageData):
        cut = fitted(data)
        body = _encode({"type": kind, "timestamp": at, "data": cut})
    return body.decode()


def fitted(data: MessageData) -> MessageData:
    """Return what is left of a message that is too large: who, where, and how it begins."""
    return msgspec.structs.replace(
        data, parts=(), files=(), text=data.text[:CUT_TEXT], truncated=True
    )


def session_data(fact: Fact, session: Session) -> SessionData:
    """Return a session as *fact* left it; what that does not tell is as *session* has it now."""
    return SessionData(
        session=session.id,
        list=fact.list or session.list,
        previous_list=fact.previous_list,
        owner=fact.owner,
        previous_owner=fact.previous_owner,
        assignees=fact.assignees,
        joined=fact.joined,
        bot=session.bot if fact.bot is None else fact.bot,
        tags=session.tags,
        priority=session.priority,
        team=session.team,
        channel=session.channel,
        account=session.account,
        contact=contact_data(session),
        actor=fact.actor,
        because=fact.because,
        detail=fact.detail,
        created_at=session.created_at,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
    )


def message_data(message: Message, session: Session, link: Link) -> MessageData:
    """Return a message as it was when it came, with links of ours in place of a provider's."""
    [entry] = fold([message], [], None)
    return MessageData(
        message=message.id,
        session=session.id,
        channel=session.channel,
        account=session.account,
        contact=contact_data(session),
        direction=message.direction,
        sender=entry.sender,
        text=entry.text,
        parts=tuple(map(_shown, entry.parts)),
        files=_files(entry, link),
        truncated=False,
        at=entry.at,
        number=entry.number,
        status=entry.status,
        reply_to=entry.reply_to,
        thread=entry.thread,
        way=entry.way,
        origin=entry.origin,
    )


def status_data(fact: Fact, message: Message, session: Session) -> StatusData:
    """Return how far *message* got by *fact*."""
    same = message.status == fact.status
    return StatusData(
        message=message.id,
        session=session.id,
        channel=session.channel,
        account=session.account,
        status=fact.status,
        reason=message.status_reason if same else "",
        origin=message.origin,
    )


def contact_event(session: Session) -> ContactEvent:
    """Return the contact of *session* as it is now."""
    return ContactEvent(
        contact=contact_data(session),
        session=session.id,
        channel=session.channel,
        account=session.account,
        blocked=session.blocked,
    )


def contact_data(session: Session) -> ContactData:
    """Return what *session* knows of its contact."""
    return ContactData(
        id=session.contact,
        name=session.contact_name,
        phone=session.contact_phone,
        email=session.contact_email,
        language=session.contact_language,
    )


def workspace_event(fact: Fact) -> Event | None:
    """Return the event of a fact that is about no session; None where it is not told."""
    kind: Literal["account.unhealthy", "import.finished"]
    data: AccountData | ImportData
    if fact.type == "account.unhealthy":
        kind, account = "account.unhealthy", fact.session
        data = AccountData(
            account=account,
            status=fact.status,
            because=fact.because or fact.detail,
            detail=fact.detail,
        )
    elif fact.type == "import.finished":
        kind, account = "import.finished", ""
        data = ImportData(import_id=fact.session, status=fact.status, counts=fact.counts)
    else:
        return None
    body = body_of(kind, fact.at, data)
    return Event(id=fact.fact_id, type=kind, at=fact.at, body=body, account=account)


def alert_event(alert: Alert) -> Event:
    """Return the event of an alert that was raised."""
    data = AlertData(
        id=alert.id,
        agent=alert.agent,
        trigger=alert.trigger,
        session=alert.session,
        list=alert.list,
        channel=alert.channel,
        account=alert.account,
        contact_name=alert.contact_name,
        excerpt=alert.excerpt,
        count=alert.count,
        url=alert.url,
    )
    return Event(
        id=f"{alert.id}:{alert.n}",
        type="alert.raised",
        at=alert.at,
        body=body_of("alert.raised", alert.at, data),
        channel=alert.channel,
        account=alert.account,
    )


def _shown(part: ContentPart) -> ContentPart:
    if isinstance(part, TemplatePart) and part.header_media is not None:
        return msgspec.structs.replace(part, header_media=_bare(part.header_media))
    return _bare(part) if isinstance(part, MediaPart) else part


def _bare(part: MediaPart) -> MediaPart:
    """Return *part* without what fetches it at the provider."""
    return msgspec.structs.replace(part, url="", media_id="")


def _files(entry: TimelineEntry, link: Link) -> tuple[FileData, ...]:
    return tuple(
        FileData(
            id=file.id,
            kind=file.kind,
            name=file.name,
            mime_type=file.mime_type,
            size_bytes=file.size_bytes,
            url=link(file.id, file.name),
        )
        for file in entry.attachments
    )

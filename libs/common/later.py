"""The documents of what goes out later: scheduled messages, broadcasts and their recipients.

Desk writes them for people, the scheduler as it sends; each write is guarded by `rev`. An indexed
field that is None is left out of its indexes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.events import ContentPart, SendStatus, TemplatePart
from libs.common.store.api import Collection, Document, Index
from libs.common.switches import QuietHours

WhenClosed = Literal["fail", "hold", "template"]
"""What to do where the window is closed: fail, wait until it opens, or send the template."""

ScheduledState = Literal["pending", "sent", "failed", "cancelled", "skipped"]


class ScheduledMessage(Document, kw_only=True):
    """A message that an agent scheduled for a contact; desk writes it, and the scheduler.

    Attributes:
        session: Where it was scheduled; it goes to whichever session the visitor has then.
        parts: As written; texts may have variables, see `variables`. `standard_message`: of which
            they were taken.
        local: The wall-clock time that was asked for, `YYYY-MM-DDTHH:MM[:SS]`, in `zone` (IANA).
            `due_at` is the instant that this means, behind the quiet hours; `wanted_at` the one
            before them, and `shifted` how it was chosen where the clock changes.
        quiet_hours: Those that hold for it; None: none.
        only_if_no_reply: Skipped if the visitor has written since `created_at`.
        unless_moved: Skipped if the session changed hands since: `epoch` is what it was.
        hold_until: When what is held fails.
        reason, detail: Why it stands in its state, as code and for a person.
        claimed_at: The scheduler sends it: too late to change it. None while it is pending.
        faulty_since: When a router first failed at it by a fault of its own; it is asked again.
        held: It has fired, and waits for the window to open.
        message, status: The message that was made of it, and what became of that.
        fires_at: When its timer is due; None when none is needed.
        digest: Hash of the request that made it, to tell a repeat from another one.
    """

    name: str
    contact: str
    account: str
    channel: str
    visitor: str
    session: str = ""
    author: str
    author_name: str = ""
    parts: tuple[ContentPart, ...]
    standard_message: str = ""
    local: str
    zone: str
    due_at: datetime
    wanted_at: datetime | None = None
    shifted: Literal["", "gap", "overlap"] = ""
    quiet_hours: QuietHours | None = None
    only_if_no_reply: bool = False
    unless_moved: bool = False
    epoch: int | None = None
    when_closed: WhenClosed = "fail"
    template: TemplatePart | None = None
    hold_until: datetime | None = None
    state: ScheduledState = "pending"
    reason: str = ""
    detail: str = ""
    created_at: datetime
    updated_at: datetime
    claimed_at: datetime | None = None
    faulty_since: datetime | None = None
    held: bool = False
    message: str = ""
    status: SendStatus = ""
    settled_at: datetime | None = None
    fires_at: datetime | None = None
    digest: str = ""


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a broadcast is for: contacts that fit all that is given here; each gets it once.

    Attributes:
        tags: Ids of tags, of which a contact has any or all (`match`); `without`: none of these.
        channels, accounts: Where they can be reached; empty: anywhere.
        languages: Prefixes, `en` holds for `en-GB`.
        wrote_within_s: They wrote at most so long ago; None: no matter.
    """

    tags: tuple[str, ...] = ()
    match: Literal["any", "all"] = "any"
    without: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    wrote_within_s: int | None = None


BroadcastState = Literal["draft", "scheduled", "running", "paused", "done", "cancelled"]
RecipientState = Literal[
    "pending", "sending", "sent", "delivered", "read", "failed", "skipped", "cancelled"
]


class Broadcast(Document, kw_only=True):
    """A message for many; see `ScheduledMessage` for what has the same name.

    Attributes:
        zone: IANA, or `contact`: at `local` of each one's own clock (the workspace's where it is
            not known).
        due_at: When the first is due; None: at once when started.
        per_minute: Most messages in a minute on each account; None: half of what its channel takes.
        gathered: All recipients are stored; `cursor` is how far the contacts were read.
        total: Recipients so far.
        resumes_to: Of one that is paused: its state before.
        digest: Hash of the request that made it, or copied it.
    """

    name: str
    author: str
    author_name: str = ""
    audience: Audience
    parts: tuple[ContentPart, ...]
    standard_message: str = ""
    local: str = ""
    zone: str = "contact"
    due_at: datetime | None = None
    quiet_hours: QuietHours | None = None
    when_closed: Literal["fail", "template"] = "fail"
    template: TemplatePart | None = None
    per_minute: int | None = None
    state: BroadcastState = "draft"
    resumes_to: BroadcastState | None = None
    reason: str = ""
    gathered: bool = False
    cursor: str = ""
    total: int = 0
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    copied_from: str = ""
    fires_at: datetime | None = None
    digest: str = ""


class Recipient(Document, kw_only=True):
    """One contact of a broadcast, where it is reached, and what became of the message.

    The id is derived of broadcast and contact, so that nobody is a recipient twice. `sending`: its
    message was asked for, and has no outcome yet.
    """

    broadcast: str
    contact: str
    name: str = ""
    account: str
    channel: str
    visitor: str
    due_at: datetime
    state: RecipientState = "pending"
    reason: str = ""
    message: str = ""
    session: str = ""
    updated_at: datetime


class Meter(Document, kw_only=True):
    """The pace of something, shared by all replicas: when the next one may be.

    The id names what: `termination`, `broadcast:<account>`. `of` is what it was set for: for
    another it begins anew.
    """

    next_at: datetime
    of: str = ""


class Folder(Document, kw_only=True):
    """A folder of standard messages, and who sees it: one of each of these that is given.

    `name_key` is the folded name, unique in the workspace. `channels` are kinds of channel, `teams`
    and `users` ids; empty: all. `place` orders the folders. `digest` as of `ScheduledMessage`.
    """

    name: str
    name_key: str
    channels: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    place: int = 0
    created_at: datetime
    updated_at: datetime
    digest: str = ""


class StandardMessage(Document, kw_only=True):
    """A canned reply: its parts may have variables. `digest` as of `ScheduledMessage`.

    `folder` is the id of its `Folder`, empty: none, seen by all; `place` orders those in it.
    `title_key`, `title_words` and `words` are what it is found by while somebody types; they are
    derived in every write by `libs.common.standard.keyed`.
    """

    title: str
    folder: str = ""
    place: int = 0
    title_key: str = ""
    title_words: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    parts: tuple[ContentPart, ...]
    created_at: datetime
    updated_at: datetime
    digest: str = ""


class StandardUse(Document, kw_only=True):
    """How often a standard message, whose id it has, was used: apart, so that no edit grows stale.

    Attributes:
        picked, sent: How often agents took it into their field, and sent it.
        last_used_at: When that was last.
        known: What was counted last, so that a repeat of a request counts once.
    """

    picked: int = 0
    sent: int = 0
    last_used_at: datetime
    known: tuple[str, ...] = ()


SCHEDULED = Collection(
    "scheduled",
    ScheduledMessage,
    (
        Index("due", ("due_at", "id")),
        Index("state", ("state", "due_at", "id")),
        Index("contact", ("contact", "due_at", "id")),
        Index("session", ("session", "due_at", "id")),
        Index("author", ("author", "due_at", "id")),
        Index("fires", ("fires_at", "id")),
    ),
)
BROADCASTS = Collection(
    "broadcasts",
    Broadcast,
    (
        Index("created", ("created_at", "id")),
        Index("state", ("state", "created_at", "id")),
        Index("fires", ("fires_at", "id")),
    ),
)
RECIPIENTS = Collection(
    "recipients",
    Recipient,
    (
        Index("broadcast", ("broadcast", "id")),
        Index("state", ("broadcast", "state", "due_at", "id")),
        Index("lane", ("broadcast", "account", "state", "due_at", "id")),
        Index("busy", ("account", "state", "id")),
        Index("contact", ("contact", "due_at", "id")),
    ),
)
METERS = Collection("meters", Meter, ())
FOLDERS = Collection(
    "folders",
    Folder,
    (Index("name", ("name_key",), unique=True), Index("place", ("place", "id"))),
)
STANDARD_MESSAGES = Collection(
    "standard_messages",
    StandardMessage,
    (
        Index("title", ("title", "id")),
        Index("folder", ("folder", "place", "id")),
        Index("words", ("words", "title", "id")),
        Index("title_words", ("title_words", "title", "id")),
        Index("title_key", ("title_key", "id")),
        Index("created", ("created_at", "id")),
    ),
)
STANDARD_USES = Collection("standard_uses", StandardUse, (Index("sent", ("sent", "id")),))

LATER = (SCHEDULED, BROADCASTS, RECIPIENTS, METERS, FOLDERS, STANDARD_MESSAGES, STANDARD_USES)

"""What people ask of broadcasts, and how they are shown them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.events import ContentPart, TemplatePart
from libs.common.later import Audience, BroadcastState, RecipientState
from libs.common.shown_files import AttachmentView
from libs.common.switches import QuietHours
from services.desk.api.compose import ChoicesBody, LocationBody, TemplateBody
from services.desk.api.login import AgentName
from services.desk.api.read import Plain
from services.desk.api.scheduled_body import Files, Moment, Name, QuietBody, Text, Title, Zone
from services.desk.api.sessions import Cursor, Limit

CONTENT = ("text", "attachments", "choices", "location", "template", "standard_message")

Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]
Tags = Annotated[tuple[Name, ...], Meta(max_length=20)]
Most = Annotated[tuple[Name, ...], Meta(max_length=100)]
Languages = Annotated[tuple[Language, ...], Meta(max_length=50)]
Seconds = Annotated[int, Meta(ge=1, le=10 * 366 * 24 * 3600)]
PerMinute = Annotated[int, Meta(ge=1, le=100_000)]
WhenClosed = Literal["fail", "template"]


class AudienceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contacts that fit all that is given; with nothing, everybody. Each gets it once.

    Attributes:
        tags: Ids of tags, of which a contact has `any` or `all` (`match`); `without`: none of
            these.
        channels, accounts: Where they are reached; none: anywhere but in public comments.
        languages: Such as `en`, which holds for `en-GB`, too.
        wrote_within_s: They wrote at most so many seconds ago; null: no matter.
    """

    tags: Tags = ()
    match: Literal["any", "all"] = "any"
    without: Tags = ()
    channels: Most = ()
    accounts: Most = ()
    languages: Languages = ()
    wrote_within_s: Seconds | None = None

    def wanted(self) -> Audience:
        """Return it as it is stored."""
        unique = {
            name: tuple(dict.fromkeys(getattr(self, name)))
            for name in ("tags", "without", "channels", "accounts", "languages")
        }
        return Audience(**unique, match=self.match, wrote_within_s=self.wrote_within_s)


class NewBroadcast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message for many: to whom, what, when, how fast.

    Attributes:
        name: For people here; nobody else sees it.
        standard_message: Its id, in place of content of one's own.
        at: `YYYY-MM-DDTHH:MM` of `zone`'s clock, or, with a zone of the IANA list, with an offset
            such as `Z`; empty: at once when it is started.
        zone: IANA; `contact`: each one's own clock, the workspace's where it is not known.
        quiet_hours: By each one's own clock; null: none; left out: the workspace's.
        when_closed: What to do where the channel's window is closed: `fail`, or send the
            `fallback_template`.
        per_minute: Most messages in a minute on each account; null: half of what its channel
            takes.
        start: Start it; else it stays a draft.
    """

    name: Title
    audience: AudienceBody
    text: Text = ""
    attachments: Files = ()
    choices: ChoicesBody | None = None
    location: LocationBody | None = None
    template: TemplateBody | None = None
    standard_message: Name = ""
    at: Moment = ""
    zone: Zone = "contact"
    quiet_hours: QuietBody | UnsetType | None = UNSET
    when_closed: WhenClosed = "fail"
    fallback_template: TemplateBody | None = None
    per_minute: PerMinute | None = None
    start: bool = False


class BroadcastPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. Any content that is named replaces all of it."""

    name: Title | UnsetType = UNSET
    audience: AudienceBody | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    attachments: Files | UnsetType = UNSET
    choices: ChoicesBody | UnsetType | None = UNSET
    location: LocationBody | UnsetType | None = UNSET
    template: TemplateBody | UnsetType | None = UNSET
    standard_message: Name | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET
    quiet_hours: QuietBody | UnsetType | None = UNSET
    when_closed: WhenClosed | UnsetType = UNSET
    fallback_template: TemplateBody | UnsetType | None = UNSET
    per_minute: PerMinute | UnsetType | None = UNSET


class CopyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of the copy; empty: that of the first, said to be a copy."""

    name: Annotated[Plain, Meta(max_length=200)] = ""


class CountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to count."""

    audience: AudienceBody


class BroadcastQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first."""

    state: Annotated[tuple[BroadcastState, ...], Meta(description="Without it: any")] = ()
    cursor: Cursor = ""
    limit: Limit = 50


class RecipientQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of recipients."""

    state: Annotated[tuple[RecipientState, ...], Meta(description="Without it: any")] = ()
    cursor: Cursor = ""
    limit: Limit = 50


class BroadcastRow(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast as a list shows it.

    Attributes:
        at, zone: The time that was asked for, as the clocks there show it; empty: at once.
        due_at: When the first is due; null: not started, or at once.
        total: Recipients that were gathered so far; `gathered`: that is all of them.
        reason: Why it was cancelled, if nobody did.
    """

    id: str
    name: str
    state: BroadcastState
    author: AgentName
    audience: Audience
    text: str
    at: str
    zone: str
    due_at: datetime | None
    total: int
    gathered: bool
    reason: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class BroadcastView(BroadcastRow, frozen=True, kw_only=True):
    """A broadcast.

    Attributes:
        text, parts: As written, with the variables' places.
        counts: Recipients by state. `under_way`: those whose message was asked for and has no
            outcome yet; after a pause or a cancellation they go out still, and at most one second's
            worth besides.
        resumes_to: Of one that is paused: its state before.
        pace: Most messages in a minute on each account, by channel of the audience.
        copied_from: The broadcast that it was made of.
    """

    parts: tuple[ContentPart, ...]
    attachments: tuple[AttachmentView, ...]
    standard_message: str
    quiet_hours: QuietHours | None
    when_closed: WhenClosed
    fallback_template: TemplatePart | None
    per_minute: int | None
    pace: dict[str, int]
    counts: dict[str, int]
    under_way: int
    resumes_to: BroadcastState | None
    copied_from: str


class BroadcastList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[BroadcastRow, ...]
    next: str | None


class RecipientView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one contact's message.

    Attributes:
        reason, detail: Why it failed or was skipped, as code and in words.
        message, session: The message that it has become, and where.
    """

    id: str
    contact: AgentName
    account: str
    channel: str
    state: RecipientState
    reason: str
    detail: str
    message: str
    session: str
    due_at: datetime
    updated_at: datetime


class RecipientList(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients, in an order that stays."""

    items: tuple[RecipientView, ...]
    next: str | None


class AudienceCount(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an audience has now: everybody counted once, where they would be written to.

    Attributes:
        total: Contacts in all. `free_text`: who can be sent anything now; `template_only`: only an
            approved template; `closed`: nothing until they write; `blocked`: they do not want to
            be written to. These four add up to `total`.
        reasons: Of `template_only` and `closed`: how many for which reason.
        complete: False: there are more, and the counting was cut off.
    """

    total: int
    channels: dict[str, int]
    accounts: dict[str, int]
    free_text: int
    template_only: int
    closed: int
    blocked: int
    reasons: dict[str, int]
    complete: bool

"""What people ask to be scheduled, and how they are shown it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.events import ContentPart, SendStatus, TemplatePart
from libs.common.later import ScheduledState, WhenClosed
from libs.common.shown_files import AttachmentView
from libs.common.switches import QuietHours
from services.desk.api.compose import (
    MOST_FILES,
    TEXT_LIMIT,
    ChoicesBody,
    FileBody,
    Id,
    LocationBody,
    TemplateBody,
)
from services.desk.api.login import AgentName
from services.desk.api.read import Plain
from services.desk.api.sessions import Cursor, Limit
from services.desk.scheduling import Outlook

Title = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=200)
]
Name = Annotated[Plain, Meta(max_length=100)]
Moment = Annotated[Plain, Meta(max_length=40)]
Zone = Annotated[Plain, Meta(max_length=64)]
Text = Annotated[Plain, Meta(max_length=TEXT_LIMIT)]
Files = Annotated[tuple[Id | FileBody, ...], Meta(max_length=MOST_FILES)]

CONTENT = ("text", "attachments", "choices", "location", "template")


class QuietBody(QuietHours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `start` until `end`, `HH:MM`, over midnight where `end` is before `start`."""


class NewScheduled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to be sent later: to whom, what, when, and when not.

    Attributes:
        session: Whose visitor it is for; or name a `contact` and one of the `account`s by which
            they are reached.
        name: For people here; the visitor does not see it.
        standard_message: Its id, in place of content of one's own.
        at: `YYYY-MM-DDTHH:MM` of `zone`'s clock, or with an offset such as `Z` or `+02:00`.
        zone: IANA; `contact`: the contact's own, else the workspace's.
        only_if_no_reply: Not if the visitor has written since it was scheduled.
        unless_moved: Not if the session changed hands since.
        quiet_hours: By `zone`'s clock; null: none; left out: the workspace's.
        when_closed: What to do if the channel's window is closed then: `fail`, `hold` until the
            visitor writes, or send the `fallback_template`. Must be said where it is known to be.
        hold_until: As `at`: when what is held fails; left out: after 7 days.
    """

    session: Name = ""
    contact: Name = ""
    account: Name = ""
    name: Title
    text: Text = ""
    attachments: Files = ()
    choices: ChoicesBody | None = None
    location: LocationBody | None = None
    template: TemplateBody | None = None
    standard_message: Name = ""
    at: Moment
    zone: Zone = "contact"
    only_if_no_reply: bool = False
    unless_moved: bool = False
    quiet_hours: QuietBody | UnsetType | None = UNSET
    when_closed: WhenClosed | UnsetType = UNSET
    fallback_template: TemplateBody | None = None
    hold_until: Moment = ""


class ScheduledPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. Any content that is named replaces all of it."""

    name: Title | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    attachments: Files | UnsetType = UNSET
    choices: ChoicesBody | UnsetType | None = UNSET
    location: LocationBody | UnsetType | None = UNSET
    template: TemplateBody | UnsetType | None = UNSET
    standard_message: Name | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET
    only_if_no_reply: bool | UnsetType = UNSET
    unless_moved: bool | UnsetType = UNSET
    quiet_hours: QuietBody | UnsetType | None = UNSET
    when_closed: WhenClosed | UnsetType = UNSET
    fallback_template: TemplateBody | UnsetType | None = UNSET
    hold_until: Moment | UnsetType = UNSET


class ScheduledQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters compose by AND, the states by OR."""

    contact: Name = ""
    session: Annotated[Name, Meta(description="Where it was scheduled")] = ""
    author: Annotated[Name, Meta(description="`me`, or an agent's id")] = ""
    state: Annotated[tuple[ScheduledState, ...], Meta(description="Without it: any")] = ()
    order: Annotated[
        Literal["asc", "desc"], Meta(description="By `due_at`; `asc`: the earliest first")
    ] = "asc"
    cursor: Cursor = ""
    limit: Limit = 50


class ScheduledView(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled message.

    Attributes:
        text, parts: As written, with the variables' places.
        local, zone: The time that was asked for, as the clocks there show it.
        wanted_at: The instant that this means; `due_at` is when it goes out.
        shifted: `gap`: the clocks skip that time, so it is moved forward as much; `overlap`: they
            show it twice, and the first is meant.
        moved_by_quiet_hours: `due_at` is behind `wanted_at` for them.
        reason, detail: Why it stands in its state, or is late, as code and in words.
        held: It was due, and waits for the visitor to write, at most until `hold_until`.
        being_sent: Too late to change it.
        message, status: The message that it has become, and how far that got.
        expected: What would become of it at its time if nothing happened before; `template`: the
            `fallback_template` would go out; empty: it is settled. `window_until`: until when the
            channel's window is open, or was.
    """

    id: str
    name: str
    state: ScheduledState
    reason: str
    detail: str
    held: bool
    being_sent: bool
    contact: str
    account: str
    channel: str
    session: str
    author: AgentName
    text: str
    parts: tuple[ContentPart, ...]
    attachments: tuple[AttachmentView, ...]
    standard_message: str
    local: str
    zone: str
    wanted_at: datetime
    due_at: datetime
    shifted: Literal["", "gap", "overlap"]
    moved_by_quiet_hours: bool
    quiet_hours: QuietHours | None
    only_if_no_reply: bool
    unless_moved: bool
    when_closed: WhenClosed
    fallback_template: TemplatePart | None
    hold_until: datetime | None
    expected: Outlook | Literal[""]
    window_until: datetime | None
    message: str
    status: SendStatus
    created_at: datetime
    updated_at: datetime
    settled_at: datetime | None


class ScheduledList(msgspec.Struct, frozen=True, kw_only=True):
    """Scheduled messages by `due_at`."""

    items: tuple[ScheduledView, ...]
    next: str | None

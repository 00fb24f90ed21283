"""What people and machines may ask of the router, as NATS request-reply.

Subject `cmd.<partition>.<workspace>.<verb>`; any router replica answers, because every write is
guarded by `rev`. A command carries a deadline and an idempotency key: the same key has the effect
of one, and gets the same answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import Message, Session
from libs.common.events import ContentPart, SessionTimer, TemplatePart, Way


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `kind` is `agent`, `bot`, `automation`, `schedule` or `system`."""

    kind: str
    id: str
    name: str = ""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every command has. `key` is the idempotency key, unique per (workspace, actor)."""

    workspace: str
    session: str
    actor: Actor
    key: str
    deadline: datetime


class SendMessage(Command, tag="send", frozen=True, kw_only=True):
    """Send *parts* to the visitor.

    A person's reply in `bot_hosted` or `unassigned` takes the session in the same write. A
    machine's send must carry the `epoch` it was decided under, and is refused when stale.
    """

    parts: tuple[ContentPart, ...]
    reply_to: str = ""
    way: Way = ""
    epoch: int | None = None
    offline: Literal["", "email", "plugin"] = ""
    """How it reaches a web visitor who has left; empty: by the settings."""
    answers: str = ""
    """Of a bot: the visitor's message that it has now answered wholly; see `Session.bot_asked`."""


class SendScheduled(Command, tag="scheduled", frozen=True, kw_only=True):
    """Send what was scheduled, as automation: moves nobody, and opens no session.

    The actor is of kind `schedule`: its id is that of the scheduled message or of the recipient of
    a broadcast, its name the author's. `session` is the visitor's open session, else their newest;
    where they never had one, an ended one of this id is made of `account`, `channel`, `visitor`
    and `contact` to hold it. The answer is `Done` with the message; without one it is held
    (`hold`): `Session.held` names the actor's id, whose timer is armed when the visitor writes.

    Refused as `replied`, `stale_epoch`, `session_over` (there may be an open one by now), or with
    the code of `windows.permitted`.

    Attributes:
        origin: Kept as `Message.origin`.
        since: Refuse it if we heard of the visitor after this time of our clock; None: send it all
            the same.
        template: Goes out in place of *parts* where free text may not.
        over: *session* has ended, and is known to be the visitor's newest.
        bulk: See `SendRequest.bulk`.
    """

    parts: tuple[ContentPart, ...]
    origin: str
    account: str
    channel: str
    visitor: str
    contact: str
    since: datetime | None = None
    epoch: int | None = None
    template: TemplatePart | None = None
    hold: bool = False
    over: bool = False
    bulk: bool = False


class Snooze(Command, tag="snooze", frozen=True, kw_only=True):
    """Put the session aside until a time, or (None) take it back at once; a visitor wakes it."""

    until: datetime | None = None


class RestoreSession(Command, tag="restore", frozen=True, kw_only=True):
    """Undo an automatic end: the session stands again where it stood.

    Refused as `not_restorable` (it was not ended so, or too long ago) and `another_open`.
    """


class RetrySend(Command, tag="retry", frozen=True, kw_only=True):
    """Send message `message` of ours once more, as a new message that names it in `retry_of`.

    Only where it certainly did not go out: `failed`, and for a reason that a repeat may cure.
    However often it is asked for, there is one repeat of a message.
    """

    message: str


class AddNote(Command, tag="note", frozen=True, kw_only=True):
    """Store a private note in the timeline: moves nothing, is never sent.

    `mentions` are agents who are alerted of it; told as the fact `session.mention`.
    """

    text: str
    mentions: tuple[str, ...] = ()


class EditNote(Command, tag="note_edit", frozen=True, kw_only=True):
    """Change what the note `note` of the session says; without *text* it is taken back.

    Kept as an event beside the note, so that what it said before is known; never sent.
    """

    note: str
    text: str | None = None


class GiveContact(Command, tag="contact", frozen=True, kw_only=True):
    """The session's visitor is part of another contact; idempotent, and leaves no entry.

    Without effect unless the session is of one of `former`. `name` is that of the contact, for a
    session whose visitor has told none.
    """

    contact: str
    former: tuple[str, ...]
    name: str = ""


class OpenSession(Command, tag="open", frozen=True, kw_only=True):
    """An agent opens the session: claims it when unassigned, only reads it elsewhere.

    Clears the agent's own unread. Of many who open at once, one becomes owner and the others get
    `already_taken`: those whose race was seen as one, and those who say with `expect`
    `unassigned` that they saw it waiting. Without `expect`, opening what another agent already
    has is just reading.
    """

    expect: Literal["", "unassigned"] = ""


class ClaimSession(Command, tag="claim", frozen=True, kw_only=True):
    """Take the session from `bot_hosted` or `unassigned`; refused with the owner when taken."""


class AssignSession(Command, tag="assign", frozen=True, kw_only=True):
    """Make exactly *assignees* the assignees, the first the owner; none: back to `unassigned`.

    `names` gives display names by agent id, for the timeline.
    """

    assignees: tuple[str, ...]
    names: dict[str, str] = {}


class RemoveAssignees(Command, tag="remove", frozen=True, kw_only=True):
    """Take *agents* off the session.

    With the last one gone it waits in `unassigned` again, and auto-assign gives it back to none of
    them for the workspace's `removed_for_s`.
    """

    agents: tuple[str, ...]


class HandOff(Command, tag="handoff", frozen=True, kw_only=True):
    """Ask for a human: from `bot_hosted` it goes to `unassigned`, or to an agent by auto-assign.

    `because` is `visitor_asked`, `bot_asked`, `bot_silent`, `bot_failed`, `bot_budget`, ...; with
    an `epoch` it is refused when stale.
    """

    because: str
    epoch: int | None = None
    detail: Annotated[str, Meta(pattern=r"^[a-z0-9_]{0,40}$")] = ""
    """How a bot failed, as one word and nothing of a text or an address: `forbidden_target`,
    `malformed_answer`, `no_answer`, `not_reached`, `http_503`, `gone`, `breaker_open`, `no_bot`,
    `late`, `window_closed` and other reasons of a channel."""


class TagSession(Command, tag="tag", frozen=True, kw_only=True):
    """Add and take tags; idempotent."""

    add: tuple[str, ...] = ()
    take: tuple[str, ...] = ()


class SetBot(Command, tag="bot", frozen=True, kw_only=True):
    """Turn the session's bot on or off; idempotent."""

    on: bool
    bot: str = ""
    """Which bot; empty: the one that would host it."""


class FireTimer(Command, tag="timer", frozen=True, kw_only=True):
    """A timer of the session is due; without effect unless the session still says so itself."""

    kind: SessionTimer
    due: datetime


class EndSession(Command, tag="end", frozen=True, kw_only=True):
    """End the session; `confirmed` repeats a refused call where confirmation is required.

    With an `epoch` it is refused when stale.
    """

    reason: str = "ended_by_agent"
    confirmed: bool = False
    epoch: int | None = None


class MarkRead(Command, tag="read", frozen=True, kw_only=True):
    """The agent has read up to now, or up to inbound number `up_to`; never moves backwards."""

    up_to: int | None = None


AnyCommand = (
    SendMessage
    | SendScheduled
    | Snooze
    | RestoreSession
    | RetrySend
    | AddNote
    | EditNote
    | GiveContact
    | OpenSession
    | ClaimSession
    | AssignSession
    | RemoveAssignees
    | HandOff
    | TagSession
    | SetBot
    | FireTimer
    | EndSession
    | MarkRead
)


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="done"):
    """The command took effect, now or when the same key was first used (`repeated`)."""

    session: Session
    message: Message | None = None
    repeated: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refused"):
    """Nothing was changed. `status` is the fitting HTTP status; `detail` is fit for a person."""

    code: str
    status: int
    detail: str
    facts: dict[str, str] = {}


Answer = Done | Refused

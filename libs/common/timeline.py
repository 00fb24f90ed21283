"""What a conversation looks like: stored entries with everything that changed them folded in.

A timeline page is found by the messages' `timeline` index; `related` names what else to load for
it; `fold` makes the entries that a person sees. All of it is a function of the *set* of stored
documents: the order in which a channel delivered them does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from libs.common.documents import Direction, Message, SenderKind, SendStatus, Session
from libs.common.edits import edits_in_order, former_texts, text_of
from libs.common.emailed import emailed
from libs.common.events import (
    ContactChanged,
    ContentPart,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    MessageReceived,
    ReactionChanged,
    Referral,
    SendReported,
    Thread,
    Way,
)
from libs.common.reasons import Failure, failure_of
from libs.common.shown_files import AttachmentView, files_of, shown_parts, unknown_file
from libs.common.status import Standing, further, reported, standing_of

COMMAND_KEY = "cmd:"
"""How the key of every entry begins that a command made: our own messages, notes, system lines."""


CLOCKS_S = timedelta(seconds=2)
"""How much later than the provider's own time our sender may note that a message was sent."""

_Order: TypeAlias = tuple[datetime, int, str]


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote it; an agent without an id answered outside, in the provider's own inbox."""

    kind: SenderKind
    id: str = ""
    name: str = ""


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """One author's present reaction."""

    emoji: str
    author: str
    at: datetime


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a conversation as it stands now.

    Attributes:
        text: The text parts, a line each; empty once deleted.
        at: The provider's time, which orders the display; `received_at` is ours.
        what: The machine word of a system line.
        status: Of our own messages: how far they got, all reports considered.
        before: What it said before each edit, oldest first; empty once deleted.
        reply_to: Our id of the quoted entry where it is on the page, else the provider's.
        number: Place in the session, from 1.
        attachments: Its files, in the order of `parts`.
        failure: Of a message that is `failed` or `unknown`: why, and what to do.
        retry_of: Our id of the failed message that this one repeats.
        way: How a comment was answered: `public` below it, `private` to its author.
        referral: The ad, link, code or page by which the visitor came to say this.
        origin: `scheduled:<id>` or `broadcast:<id>` of what was sent by one.
        emailed_at: When it went out by email besides, as its visitor had left the web chat.
        not_emailed: Why it was to and did not: `bounced`, `unsubscribed`, `bad_address`, `limited`
            (too many today), `too_late`, or as the mail server said; empty: nothing failed.
    """

    id: str
    kind: Literal["message", "note", "system"]
    direction: Direction | None
    sender: Sender
    text: str
    parts: tuple[ContentPart, ...]
    at: datetime
    received_at: datetime
    number: int
    what: str = ""
    status: SendStatus = ""
    status_at: datetime | None = None
    status_reason: str = ""
    edited: bool = False
    before: tuple[str, ...] = ()
    deleted: bool = False
    hidden: bool = False
    reactions: tuple[Reaction, ...] = ()
    reply_to: str = ""
    provider_ids: tuple[str, ...] = ()
    thread: Thread | None = None
    attachments: tuple[AttachmentView, ...] = ()
    failure: Failure | None = None
    retry_of: str = ""
    way: Way = ""
    referral: Referral | None = None
    origin: str = ""
    emailed_at: datetime | None = None
    not_emailed: str = ""


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """What to load besides a page, and to hand to `fold` as *events*.

    Messages of the account whose `target` contains one of `targets` (index `target`), and those
    whose `provider_ids` contain one of `provider_ids` (index `provider`): a query for each value.
    """

    targets: tuple[str, ...] = ()
    provider_ids: tuple[str, ...] = ()


def display_order(message: Message) -> _Order:
    """Return the sort key of the display: provider time, stream sequence, id."""
    return (message.occurred_at, message.sequence, message.id)


def related(messages: Iterable[Message]) -> Related:
    """Return what else is needed to show *messages*."""
    targets: list[str] = []
    echoes: list[str] = []
    for message in messages:
        if message.kind == "note":
            targets.append(message.id)
        if message.kind != "message":
            continue
        above = _above(message)
        targets += (*message.provider_ids, message.id, *above)
        echoes += above
        if _maybe_echo(message):
            echoes += message.provider_ids
    return Related(targets=tuple(dict.fromkeys(targets)), provider_ids=tuple(dict.fromkeys(echoes)))


def higher(found: Iterable[Message], asked: Related) -> Related:
    """Return what else is needed of the comments above those *found*: nothing at the top."""
    above = {comment: None for message in found for comment in _above(message)}
    wanted = tuple(comment for comment in above if comment not in asked.targets)
    return Related(targets=wanted, provider_ids=wanted)


def fold(
    messages: Sequence[Message],
    events: Sequence[Message],
    session: Session | None,
    files: Mapping[str, AttachmentView] | None = None,
) -> list[TimelineEntry]:
    """Return what a person sees of *messages*, in display order.

    Args:
        messages: Entries of the timeline; those of kind `event` are not shown.
        events: What `related` asked for, and possibly more; in any order.
        session: For how far the visitor has read; None leaves that out.
        files: What is known of the attachments that `attached` named, by id.
    """
    everything = {message.id: message for message in (*messages, *events)}
    changes = _Changes(everything.values(), files or {})
    shown = {m.id: m for m in messages if m.kind != "event" and not changes.repeats_ours(m)}
    ids = {pid: m.id for m in shown.values() for pid in m.provider_ids}
    return [
        _entry(message, changes, session, ids)
        for message in sorted(shown.values(), key=display_order)
    ]


def _is_ours(message: Message) -> bool:
    return message.key.startswith(COMMAND_KEY)


def _above(message: Message) -> tuple[str, ...]:
    """Return the comment that *message* stands below in public; none at the top, or in private."""
    thread = message.thread
    if thread is None or message.way == "private":
        return ()
    above = thread.comment if _is_ours(message) else thread.parent
    return (above,) if above and above != thread.post else ()


def _maybe_echo(message: Message) -> bool:
    return message.kind == "message" and message.direction == "out" and not _is_ours(message)


def _ids_told(event: InboundEvent | None) -> tuple[str, ...]:
    """Return the provider ids that *event* gives to the message of ours that it targets."""
    if isinstance(event, SendReported):
        return event.provider_ids
    return (event.message_id,) if isinstance(event, MessageEchoed) else ()


class _Changes:
    """Everything that changes entries, found by the id of what it changes."""

    def __init__(self, everything: Iterable[Message], files: Mapping[str, AttachmentView]) -> None:
        self.files = files
        self.retried: set[str] = set()
        self._by_target: defaultdict[str, list[Message]] = defaultdict(list)
        self._echoes: defaultdict[str, list[Message]] = defaultdict(list)
        self._above: dict[str, tuple[str, ...]] = {}
        self._ours: dict[str, str] = {}
        self._ids: dict[str, tuple[str, ...]] = {}
        echoes = []
        for message in everything:
            self._sort(message)
            self._above |= dict.fromkeys(message.provider_ids, _above(message))
            if _maybe_echo(message):
                echoes.append(message)
        for echo in echoes:
            for pid in echo.provider_ids:
                self._echoes[self._ours.get(pid, "")].append(echo)

    def _sort(self, message: Message) -> None:
        if message.kind == "event":
            for target in message.target:
                self._by_target[target].append(message)
                self._know(target, _ids_told(message.event))
        elif message.kind == "message" and _is_ours(message):
            self.retried.add(message.retry_of)
            self._know(message.id, message.provider_ids)

    def _know(self, ours: str, provider_ids: tuple[str, ...]) -> None:
        self._ours |= dict.fromkeys(provider_ids, ours)
        self._ids[ours] = (*self._ids.get(ours, ()), *provider_ids)

    def repeats_ours(self, message: Message) -> bool:
        """Tell whether *message* only echoes one that we sent ourselves."""
        return _maybe_echo(message) and any(pid in self._ours for pid in message.provider_ids)

    def is_below_removed(self, message: Message) -> bool:
        """Tell whether a comment above *message*, however high, was removed."""
        above = [*_above(message)]
        seen: set[str] = set()
        while above:
            comment = above.pop()
            if comment in seen:
                continue
            seen.add(comment)
            changes = self._by_target.get(comment, ())
            if any(isinstance(m.event, MessageDeleted) for m in changes):
                return True
            above += self._above.get(comment, ())
        return False

    def of(self, message: Message, kind: type) -> list[Message]:
        """Return the events of *kind* about *message*, in display order."""
        keys = (*message.provider_ids, *self._ids.get(message.id, ()), message.id)
        found = {
            m.id: m
            for key in keys
            for m in self._by_target.get(key, ())
            if isinstance(m.event, kind)
        }
        return sorted(found.values(), key=display_order)

    def echoes(self, message: Message) -> list[Message]:
        """Return the provider's echoes of *message*, however they were recognised."""
        return [*self.of(message, MessageEchoed), *self._echoes.get(message.id, ())]


def _entry(
    message: Message, changes: _Changes, session: Session | None, ids: dict[str, str]
) -> TimelineEntry:
    deleted = bool(changes.of(message, MessageDeleted))
    edits = [] if deleted else edits_in_order(changes.of(message, MessageEdited))
    content, edited = (edits[-1], message) if edits else (message, None)
    parts = () if deleted else shown_parts(content)
    standing = _standing(message, changes, session)
    mail = emailed(changes.of(message, SendReported))
    return TimelineEntry(
        id=message.id,
        kind=message.kind if message.kind != "event" else "system",
        direction=message.direction,
        sender=Sender(kind=message.sender, id=message.sender_id, name=message.sender_name),
        text=text_of(parts),
        parts=parts,
        at=message.occurred_at,
        received_at=message.received_at,
        number=message.number,
        what=message.what,
        status=standing.status,
        status_at=standing.at,
        status_reason=standing.reason,
        edited=bool(edits),
        before=former_texts(message, edits),
        deleted=deleted,
        hidden=_hidden(message, changes),
        reactions=() if deleted else _reactions(message, changes),
        reply_to=ids.get(message.reply_to, message.reply_to),
        provider_ids=message.provider_ids,
        thread=message.thread,
        attachments=tuple(
            changes.files.get(file_id) or unknown_file(content, file_id, part)
            for file_id, part in files_of(content, parts, edited)
        ),
        failure=failure_of(
            standing.status, standing.reason, standing.code, retried=message.id in changes.retried
        ),
        retry_of=message.retry_of,
        way=message.way,
        referral=_referral(message.event),
        origin=message.origin,
        emailed_at=mail.at,
        not_emailed=mail.failed,
    )


def _referral(event: InboundEvent | None) -> Referral | None:
    if isinstance(event, MessageReceived | InteractionReceived | ContactChanged):
        return event.referral
    return None


def _hidden(message: Message, changes: _Changes) -> bool:
    """Tell whether the public does not see it: hidden, or below a comment that was removed.

    Nothing tells of the replies when the comment above them is removed.
    """
    if changes.is_below_removed(message):
        return True
    found = changes.of(message, MessageHidden)
    last = found[-1].event if found else None
    return isinstance(last, MessageHidden) and last.hidden


def _reactions(message: Message, changes: _Changes) -> tuple[Reaction, ...]:
    """Return each author's latest reaction; an empty emoji took it back."""
    latest: dict[str, Reaction] = {}
    for found in changes.of(message, ReactionChanged):
        event = found.event
        if isinstance(event, ReactionChanged):
            author = event.author or found.visitor
            latest[author] = Reaction(emoji=event.emoji, author=author, at=found.occurred_at)
    kept = (reaction for reaction in latest.values() if reaction.emoji)
    return tuple(sorted(kept, key=lambda reaction: (reaction.at, reaction.author)))


def _standing(message: Message, changes: _Changes, session: Session | None) -> Standing:
    """Return how far a message of ours got: its own status, reports, echoes, then watermarks."""
    standing = standing_of(message)
    if message.kind != "message" or message.direction != "out" or not _is_ours(message):
        return standing
    reports = [*changes.of(message, SendReported), *changes.of(message, DeliveryReported)]
    for report in (*reports, *changes.echoes(message)):
        event = report.event
        found = reported(event, report.occurred_at)
        if event is None:  # an echo that was kept as an entry of its own
            found = Standing(status="sent", at=report.occurred_at)
        standing = further(standing, found)
    return watermarked(standing, _sent_at(message, changes), session)


def watermarked(standing: Standing, sent_at: datetime, session: Session | None) -> Standing:
    """Raise what was sent before the visitor's last reported reading or delivery.

    Only what is known to have been sent: a watermark proves nothing about `unknown` or `failed`.
    """
    if session is None or standing.status not in {"sent", "delivered"}:
        return standing
    if session.delivered_up_to and sent_at <= session.delivered_up_to:
        standing = further(standing, Standing(status="delivered", at=session.delivered_up_to))
    if session.read_up_to and sent_at <= session.read_up_to:
        standing = further(standing, Standing(status="read", at=session.read_up_to))
    return standing


def _sent_at(message: Message, changes: _Changes) -> datetime:
    """Return when the provider took it: by its own echo, else by what our sender noted.

    Our note comes a moment after the provider's time, so that a receipt's watermark may lie just
    before it: `CLOCKS_S` are taken off, but never to before the message was written.
    """
    echoes = changes.echoes(message)
    if echoes:
        return min(echo.occurred_at for echo in echoes)
    noted = [
        report.occurred_at
        for report in changes.of(message, SendReported)
        if isinstance(report.event, SendReported) and report.event.status == "sent"
    ]
    if message.status == "sent" and message.status_at:
        noted.append(message.status_at)
    return max(message.occurred_at, min(noted) - CLOCKS_S) if noted else message.occurred_at

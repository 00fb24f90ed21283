"""What a visitor's message sets off: where a new session begins, rules, and bots. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from libs.common.bots.wishes import asks_for_human
from libs.common.commands import Actor
from libs.common.documents import Message, Session
from libs.common.events import InboundEvent, MessageReceived
from libs.common.policy import Case, Decision
from libs.common.rules.case import case_of
from libs.common.rules.decide import decide
from services.router.botting import converse, undelivered
from services.router.decisions import RULES, apply, hand_off, is_idle, start, text_of
from services.router.draft import Draft
from services.router.fold import absorb
from services.router.room import Room
from services.router.snooze import VISITOR_WROTE, wake
from services.router.transition import Step

VISITOR = Actor(kind="visitor", id="")


class Opening(NamedTuple):
    """What was decided when a session was opened, and of what."""

    case: Case
    decision: Decision


class Heard(NamedTuple):
    """A visitor's message as it is kept, and what brought it."""

    entry: Message
    event: MessageReceived


def begin(
    draft: Draft,
    strays: Iterable[tuple[Message, InboundEvent | None]],
    first: Heard,
    room: Room,
    now: datetime,
) -> Opening:
    """Let a new session begin where it belongs, and say that it is there.

    The rules see it as it will be once the *strays* and its *first* message stand in it.
    """
    case = case_of(
        _foreseen(draft.base, [*strays, first]),
        "opened",
        text=_text(first),
        behind=bool(room.first),
    )
    decision = decide(case, room.policy, room.standings, now)
    start(draft, decision, room, first.entry.received_at)
    return Opening(case, decision)


def attend(draft: Draft, heard: Heard, room: Room, now: datetime, opening: Opening | None) -> None:
    """Let rules and bots answer a message that the session has absorbed.

    *opening* is what it opened the session with; None for a further message.
    """
    session = draft.session
    wake(draft, VISITOR, VISITOR_WROTE, now)
    if opening is not None:
        step = Step(RULES, now, opening.decision.because)
        apply(draft, opening.case, opening.decision, room, step, now)
    elif not is_idle(session, room.policy, now):
        _follow_rules(draft, heard, room, now)
    if session.list == "ended" or session.standby or not (session.bot or session.automation):
        return
    if session.bot and asks_for_human(_text(heard), room.policy.settings.handoff_words):
        hand_off(draft, room, now, "visitor_asked", VISITOR, _text(heard))
        return
    if not room.policy.bots and not session.bot_id:
        return  # nobody ever set up a bot: most of the time, and for nothing
    because = converse(draft, heard.entry, heard.event, room, now)
    if because:
        bot = Actor(kind="bot", id=session.bot_id)
        hand_off(draft, room, now, because, bot, _text(heard))


def stand_in(draft: Draft, ours: Message, room: Room, now: datetime) -> None:
    """Ask for a human where *ours*, whose status is new, is a bot's answer that did not go out."""
    because = undelivered(draft.session, ours)
    if because:
        hand_off(draft, room, now, because, Actor(kind="bot", id=draft.session.bot_id))


def _follow_rules(draft: Draft, heard: Heard, room: Room, now: datetime) -> None:
    case = case_of(
        draft.session, "message", text=_text(heard), behind=room.is_behind(draft.session.id)
    )
    decision = decide(case, room.policy, room.standings, now)
    if decision.rules or decision.says:
        apply(draft, case, decision, room, Step(RULES, now, decision.because), now)


def _text(heard: Heard) -> str:
    return text_of(heard.event.parts)


def _foreseen(session: Session, entries: Iterable[tuple[Message, InboundEvent | None]]) -> Session:
    """Return *session* as it will be with *entries* in it."""
    trial = Draft(session)
    for entry, event in entries:
        absorb(trial, msgspec.structs.replace(entry), event, None)
    return trial.session

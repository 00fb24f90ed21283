"""The visitor is asked how it was, and answers, once an agent has ended the session. Pure.

The question is part of the write that ends the session, so it is asked once or not at all; the
answer goes to the session that has ended, which stays so.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.commands import Actor, AnyCommand, EndSession
from libs.common.documents import Message, Session
from libs.common.errors import InvalidInputError, NotPermittedError
from libs.common.events import ContentPart, MessageReceived, TextPart
from libs.common.figures import Asked
from libs.common.surveys import BEST, CHANGED, RATED, question, score_of
from libs.common.switches import Settings
from libs.common.windows import PERSON
from services.router import reckon
from services.router.decisions import line
from services.router.draft import Draft
from services.router.permit import Answering
from services.router.room import Room
from services.router.say import machine_entry, say
from services.router.transition import Step

ASKER = Actor(kind="automation", id="survey")
_WEB = "web"


def is_wanted(session: Session, command: AnyCommand, settings: Settings) -> bool:
    """Tell whether *command* ends *session* so that its visitor is to be asked, if anybody is.

    Never below a public comment, and never who has not written.
    """
    if not isinstance(command, EndSession) or command.actor.kind != PERSON:
        return False
    if session.list == "ended" or session.channel not in settings.survey.channels:
        return False
    return session.inbound > 0 and (session.thread is None or not session.thread.comment)


def ask(draft: Draft, agent: str, room: Room, now: datetime) -> None:
    """Ask how it was, with *agent*; where the channel does not let us write now, nobody is asked.

    Who has left the web chat finds the question when they come back: no mail is sent for it.
    """
    session, survey = draft.session, room.policy.settings.survey
    channel = room.reach.channel
    parts = question(survey, session.id, channel.carries if channel else ())
    entry = _entry(session, "question", now)
    if not _say(draft, entry, parts, room, now):
        return
    until = now + timedelta(seconds=survey.within_s)
    session.survey = Asked(question=entry.id, agent=agent, at=now, until=until)


def is_answer(session: Session, event: MessageReceived, at: datetime) -> bool:
    """Tell whether *event*, which came at *at*, answers the question of *session*, which has ended.

    What was under way when it was asked does not.
    """
    asked = session.survey
    if asked is None or asked.over or session.list != "ended" or not asked.at < at <= asked.until:
        return False
    return score_of(event.parts, session.id) is not None


def rate(draft: Draft, entry: Message, event: MessageReceived) -> None:
    """Note the score; the newest answer counts. Nobody is alerted, and nothing is unread."""
    session, asked = draft.session, draft.session.survey
    score = score_of(event.parts, session.id)
    because = CHANGED
    if asked is not None and score is not None and draft.is_newest("survey", entry):
        because = RATED if asked.score is None else CHANGED
        session.survey = msgspec.structs.replace(asked, score=score, answered_at=entry.received_at)
    reckon.heard(session, entry.received_at)
    draft.touch(entry.received_at)
    draft.show_last(entry)
    draft.tell(
        "message.stored", entry.received_at, actor="system", because=because, message=entry.id
    )


def thank(draft: Draft, room: Room, now: datetime) -> None:
    """Say in the timeline what the score is by now, and thank for the first one."""
    session, asked = draft.session, draft.session.survey
    if asked is None or asked.score is None:
        return
    step = Step(Actor(kind="visitor", id=""), now, RATED)
    line(draft, step, RATED, f"rated {asked.score} of {BEST} by the visitor")
    thanks = room.policy.settings.survey.thanks
    first = draft.base.survey is None or draft.base.survey.score is None
    entry = _entry(session, "thanks", now)
    if first and thanks and not draft.has(entry.id):
        _say(draft, entry, (TextPart(text=thanks),), room, now)


def settle(draft: Draft, ours: Message) -> None:
    """Let no answer count to a question that certainly did not go out."""
    asked = draft.session.survey
    if asked is not None and ours.id == asked.question and ours.status == "failed":
        draft.session.survey = msgspec.structs.replace(asked, over=True)


def _entry(session: Session, what: str, now: datetime) -> Message:
    """Return the entry, whose key is the session's: it is written once."""
    key = f"{session.id}:survey:{what}"
    return machine_entry(session, key, now, "automation", ASKER.id)


def _say(
    draft: Draft, entry: Message, parts: tuple[ContentPart, ...], room: Room, now: datetime
) -> bool:
    answering = Answering(
        parts=parts,
        actor_kind=ASKER.kind,
        offline="plugin" if draft.session.channel == _WEB else "",
    )
    try:
        say(draft, entry, answering, room.reach, now)
    except (NotPermittedError, InvalidInputError):
        return False
    return True

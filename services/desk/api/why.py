"""Why a session stands where it does: the recorded reason and transitions, in words and data."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import ListName, Message
from libs.common.events import TextPart
from libs.common.rules.because import WORDS
from libs.common.timeline import Sender
from services.desk.api.decisions import DecisionView, decision_view, decisions_of
from services.desk.api.login import AgentName
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import owner_of
from services.desk.api.visible import session_of

NEWEST = 50
"""Decisions that are shown with a session."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to the session: `what` is its machine word, `text` says it."""

    at: datetime
    what: str
    text: str
    actor: Sender
    number: int


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Where the session is, why it began where it did, and all that happened since, oldest first.

    `because` is what it began by; `now`, what put it where it is, as lists have it. `decisions`
    are the newest 50 of the rules, oldest first. `complete` is false when the timeline is too long
    to be read at once: then the newest part of it was looked at.
    """

    session: str
    list: ListName
    owner: AgentName | None
    bot: bool
    epoch: int
    because: str
    now: str
    words: str
    transitions: tuple[Transition, ...]
    decisions: tuple[DecisionView, ...]
    complete: bool


async def why(call: Call) -> Reply:
    """Explain a session.

    Raises:
        NotFoundError: No such session in this workspace.
    """
    found = await session_of(call)
    entries, complete = await call.desk.store.system_entries(call.who.workspace, found.id)
    records = await decisions_of(call, found.id, NEWEST)
    transitions = tuple(map(_transition, entries))
    began = found.opened_because or found.because
    return Reply(
        body=Why(
            session=found.id,
            list=found.list,
            owner=owner_of(found),
            bot=found.bot,
            epoch=found.epoch,
            because=began,
            now=found.because,
            words=words(began, found.because, transitions),
            transitions=transitions,
            decisions=tuple(map(decision_view, records)),
            complete=complete,
        )
    )


def words(began: str, now: str, transitions: tuple[Transition, ...]) -> str:
    """Return in sentences why it began where it did, why it is where it is, and what came last."""
    told = _sentence(began)
    if now != began:
        told = f"{told} Now: {_sentence(now)}"
    if not transitions:
        return told
    last = transitions[-1]
    return f"{told} Last: {last.text} ({last.at:%Y-%m-%d %H:%M:%S} UTC)."


def _sentence(because: str) -> str:
    return WORDS.get(because) or f"{because.replace('_', ' ').capitalize() or 'Not recorded'}."


def _transition(entry: Message) -> Transition:
    return Transition(
        at=entry.occurred_at,
        what=entry.what,
        text=" ".join(part.text for part in entry.parts if isinstance(part, TextPart)),
        actor=Sender(kind=entry.sender, id=entry.sender_id, name=entry.sender_name),
        number=entry.number,
    )

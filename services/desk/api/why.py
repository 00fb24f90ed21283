"""Why a session stands where it does: the recorded reason and transitions, in words and data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from libs.common.documents import ListName, Message
from libs.common.events import TextPart
from libs.common.rules.explain import BECAUSE
from libs.common.timeline import Sender
from services.desk.api.decisions import DecisionView, decision_view, decisions_of
from services.desk.api.login import AgentName
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import owner_of

WORDS: Mapping[str, str] = {
    **BECAUSE,
    "opened": "An agent opened it while it waited.",
    "claimed": "An agent took it.",
    "agent_reply": "An agent answered, and has it since.",
    "assigned": "An agent assigned it.",
    "joined": "An agent joined in.",
    "released": "An agent gave it back.",
    "removed": "Its agents were taken off, so it waits again.",
    "bot_switch": "An agent turned the bot on or off.",
    "agent_asked": "An agent asked for a human in place of the bot.",
    "visitor_asked": "The visitor asked for a human.",
    "bot_asked": "The bot asked for a human.",
    "bot_silent": "Nobody answered in time, so a human is asked.",
    "bot_failed": "The bot failed, so a human is asked.",
    "bot_budget": "The bot has sent all it may in one session, so a human is asked.",
    "bot_loop": "The bot talked with a machine or with itself, so a human is asked.",
    "not_understood": "The bot did not understand the visitor, so a human is asked.",
    "silent_owner": "Its owner left the visitor without an answer for too long.",
    "ended_by_agent": "An agent ended it.",
    "ended_by_bot": "The bot ended it.",
    "ended_by_rule": "A rule ended it.",
    "auto_terminated": "It was idle for too long.",
}
"""What the words of `because` mean, wherever the router uses them."""

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
    found = await call.desk.store.session(call.who.workspace, call.params["id"])
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

"""What an email of an alert is made of, read right before it goes; is it still wanted?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from libs.common.alerts import ATTENTION, NOBODY_REACTED, Alert, Attention, Watch
from libs.common.documents import AGENTS, MESSAGES, SESSIONS, Agent, Message, Session
from libs.common.store.api import Page, Store
from libs.common.timeline import Related, TimelineEntry, fold, related
from services.notifier.attention_stand import LADDER
from services.notifier.mail_compose import MESSAGES_TOLD, SHOWN_MESSAGES

_LOOKED_AT = 60
"""Entries of the timeline among which the visitor's newest are looked for."""
_EVENTS_PER_MESSAGE = 50

_OUTLASTS = frozenset({"session.ended_automatically", "send.failed", "mention"})
"""Triggers that are worth telling of a session that has ended."""
_TELLING = MESSAGES_TOLD | {"handoff.requested", "assigned.to_me"}
"""Triggers whose mail shows what the visitor wrote."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told, and of what.

    Attributes:
        moot: Why nobody is told any more; empty: it is wanted.
        session: None of what is about none.
    """

    moot: str = ""
    agent: Agent | None = None
    session: Session | None = None


async def case_of(store: Store, alert: Alert) -> Case:
    """Return whether *alert* is to be mailed as things stand now.

    Raises:
        StoreUnavailableError: Not known.
    """
    agent = await store.get(AGENTS, alert.workspace, alert.agent)
    if agent is None or agent.disabled:
        return Case(moot="no_agent")
    if not agent.email:
        return Case(moot="no_address")
    if not alert.session:
        return Case(agent=agent)
    attention, session = await asyncio.gather(
        store.get(ATTENTION, alert.workspace, alert.session),
        store.get(SESSIONS, alert.workspace, alert.session),
    )
    if session is None or not _still_waits(alert, attention, session):
        return Case(moot="cleared")
    if alert.trigger in MESSAGES_TOLD and session.reads.get(alert.agent, 0) >= session.inbound:
        return Case(moot="seen")
    return Case(agent=agent, session=session)


def _still_waits(alert: Alert, attention: Attention | None, session: Session) -> bool:
    """Tell whether the alert stands, or is of a kind that is forgotten once it was told.

    Of the latter the session says what it can; what has gone unanswered by the mail server for
    hours is told late rather than never.
    """
    watches = attention.watches if attention else ()
    for watch in watches:
        if watch.agent == alert.agent:
            return watch.alert == alert.id or not _has_follower(alert, watch)
    if alert.trigger in LADDER or alert.because == NOBODY_REACTED:
        return False
    if alert.trigger == "bot_hosted.message":
        return session.list == "bot_hosted"
    return session.list != "ended" or alert.trigger in _OUTLASTS


def _has_follower(alert: Alert, watch: Watch) -> bool:
    """Tell whether a burst after that of *alert* is mailed too: one email tells of both."""
    later = watch.told.get("email", alert.at) > alert.at
    return later or watch.email_at is not None


async def unseen(store: Store, alert: Alert, session: Session) -> Sequence[TimelineEntry]:
    """Return the visitor's newest messages that the agent has not seen, oldest first.

    What was unsent meanwhile is left out; what was edited is as it stands now.

    Raises:
        StoreUnavailableError: Not known.
    """
    waiting = min(session.inbound - session.reads.get(alert.agent, 0), SHOWN_MESSAGES)
    telling = alert.trigger in _TELLING or alert.because == NOBODY_REACTED
    if not telling or waiting <= 0:
        return ()
    page = Page(order="timeline", descending=True, limit=_LOOKED_AT)
    found = await store.find(MESSAGES, session.workspace, {"timeline": session.id}, page)
    newest = [m for m in found if m.kind == "message" and m.direction == "in"][:waiting]
    changes = await _changes(store, session, related(newest))
    return [entry for entry in fold(newest, changes, None) if not entry.deleted]


async def _changes(store: Store, session: Session, wanted: Related) -> list[Message]:
    asked = [("target", "target", target) for target in wanted.targets]
    asked += [("provider", "provider_ids", found) for found in wanted.provider_ids]
    groups = await asyncio.gather(
        *(
            store.find(
                MESSAGES,
                session.workspace,
                {"account": session.account, field: value},
                Page(order=order, limit=_EVENTS_PER_MESSAGE),
            )
            for order, field, value in asked
        )
    )
    return [event for group in groups for event in group]

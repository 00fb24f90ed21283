"""Whether an agent is still waited for: decided by the session as it is now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from libs.common.alerts import Watch
from libs.common.documents import Session
from libs.common.switches import AlertTrigger
from services.notifier.attention_who import APART, answered_at

WAITING: Mapping[AlertTrigger, frozenset[str]] = {
    "bot_hosted.message": frozenset({"bot_hosted"}),
    "unassigned.message": frozenset({"unassigned"}),
    "assigned.message": frozenset(),
    "handoff.requested": frozenset({"unassigned"}),
    "assigned.to_me": frozenset(),
}
"""What waits for an answer, and the lists in which it does so besides those that the agent has."""
LADDER = frozenset(WAITING) - {"bot_hosted.message"}
"""What escalates when nobody reacts; who talks with a bot is not left alone."""
OUTLASTS: frozenset[AlertTrigger] = frozenset(
    {"session.ended_automatically", "send.failed", "mention"}
)
"""What is worth telling of a session that has ended."""
_OF_NONE = frozenset(APART.values())


def over(watch: Watch, session: Session | None) -> str:
    """Return why nobody waits for the agent any more, as `Alert.because`; empty: somebody does."""
    if watch.trigger in _OF_NONE:
        return ""
    if session is None:
        return "ended"
    if session.list == "ended" and watch.trigger not in OUTLASTS:
        return "ended"
    read = session.reads.get(watch.agent, 0)
    if read > watch.seen and read >= session.inbound:
        return "seen"
    return _no_place(watch, session) if watch.trigger in WAITING else ""


def count_of(watch: Watch, session: Session | None) -> int:
    """Return how many messages wait for the agent in this burst; of other alerts 1."""
    if session is None:
        return watch.count
    known = max(watch.before, session.reads.get(watch.agent, 0))
    return max(session.inbound - known, 1)


def heard(watch: Watch, session: Session | None) -> datetime:
    """Return when the newest came of what waits."""
    at = session.heard_at if session else None
    if watch.trigger not in WAITING or at is None:
        return watch.last
    return max(watch.last, at)


def _no_place(watch: Watch, session: Session) -> str:
    at = answered_at(session)
    if at is not None and at > heard(watch, session):
        return "answered"
    if watch.escalated or session.list in WAITING[watch.trigger]:
        return ""
    if session.list == "assigned":
        its_own = watch.trigger != "bot_hosted.message" and watch.agent in session.assignee_ids
        return "" if its_own else _gone(watch)
    return "moved"


def _gone(watch: Watch) -> str:
    return "moved" if watch.trigger.startswith("assigned.") else "claimed"

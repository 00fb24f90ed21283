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
LADDER: frozenset[AlertTrigger] = frozenset(WAITING) - {"bot_hosted.message"}
"""What escalates when nobody reacts; who talks with a bot is not left alone."""
OUTLASTS: frozenset[AlertTrigger] = frozenset(
    {"session.ended_automatically", "send.failed", "mention"}
)
"""What is worth telling of a session that has ended."""
_OF_NONE = frozenset(APART.values())


def waits_of(watch: Watch) -> AlertTrigger | None:
    """Return what of the visitor waits for an answer, whatever was told last; None: nothing."""
    if watch.trigger in WAITING:
        return watch.trigger
    return watch.beside if watch.beside in WAITING else None


def call_of(watch: Watch) -> AlertTrigger | None:
    """Return the call that waits for no answer, only to be seen; None: there is none."""
    return watch.beside if watch.trigger in WAITING else watch.trigger


def climbs(watch: Watch) -> bool:
    """Tell whether the ladder is climbed for it while nobody reacts."""
    return waits_of(watch) in LADDER


def over(watch: Watch, session: Session | None) -> str:
    """Return why nothing is left for the agent, as `Alert.because`; empty: see `answered`."""
    if watch.trigger in _OF_NONE:
        return ""
    if session is None:
        return "ended"
    if session.list == "ended" and call_of(watch) not in OUTLASTS:
        return "ended"
    read = session.reads.get(watch.agent, 0)
    return "seen" if read > watch.seen and read >= session.inbound else ""


def answered(watch: Watch, session: Session | None) -> str:
    """Return why what waited for an answer does so no more; empty: it does, or nothing did."""
    waits = waits_of(watch)
    if waits is None or session is None:
        return ""
    return "ended" if session.list == "ended" else _no_place(watch, waits, session)


def count_of(watch: Watch, session: Session | None) -> int:
    """Return how many messages wait for the agent in this burst; of other alerts 1."""
    if session is None:
        return watch.count
    known = max(watch.before, session.reads.get(watch.agent, 0))
    return max(session.inbound - known, 1)


def heard(watch: Watch, session: Session | None) -> datetime:
    """Return when the newest came of what waits."""
    at = session.heard_at if session else None
    if waits_of(watch) is None or at is None:
        return watch.last
    return max(watch.last, at)


def asked(watch: Watch, session: Session | None) -> datetime:
    """Return when the newest came of what waits for an answer, a call beside it left out."""
    at = session.heard_at if session else None
    if call_of(watch) is None or at is None:
        return heard(watch, session)
    return at


def _no_place(watch: Watch, waits: AlertTrigger, session: Session) -> str:
    at = answered_at(session)
    if at is not None and at > asked(watch, session):
        return "answered"
    if watch.escalated or session.list in WAITING[waits]:
        return ""
    if session.list == "assigned":
        its_own = waits != "bot_hosted.message" and watch.agent in session.assignee_ids
        return "" if its_own else _gone(waits)
    return "moved"


def _gone(waits: AlertTrigger) -> str:
    return "moved" if waits.startswith("assigned.") else "claimed"

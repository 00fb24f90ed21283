"""Which facts call for an agent's attention, and what it is told of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.documents import Session
from libs.common.events import Fact, FactType

Trigger = Literal["handoff.requested", "assigned.to_me", "notice"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that calls for the agent's attention now.

    `id` is the same wherever and however often it is told. `url` leads to the session, below the
    installation's address. What is empty was not known at once.
    """

    id: str
    trigger: Trigger
    session: str
    list: str
    channel: str = ""
    account: str = ""
    contact_name: str = ""
    excerpt: str = ""
    url: str
    at: datetime
    because: str = ""


def _handoff(fact: Fact, agent: str) -> bool:
    return not fact.notify or agent in fact.notify


def _assigned(fact: Fact, agent: str) -> bool:
    return agent in fact.joined and fact.actor != f"agent:{agent}"


def _notice(fact: Fact, agent: str) -> bool:
    return agent in fact.notify


_WHO: Mapping[FactType, tuple[Trigger, Callable[[Fact, str], bool]]] = {
    "session.handoff": ("handoff.requested", _handoff),
    "session.assigned": ("assigned.to_me", _assigned),
    "session.notice": ("notice", _notice),
}
"""By the kind of a fact: what it is to whom it concerns, and whether it concerns an agent."""

KINDS = frozenset(_WHO)


def trigger_of(fact: Fact, agent: str) -> Trigger | None:
    """Return what *fact* is to *agent*, or None where it is nothing to alert of."""
    trigger, concerns = _WHO.get(fact.type, (None, _notice))
    return trigger if concerns(fact, agent) else None


def heeds_hours(fact: Fact) -> bool:
    """Tell whether *fact* concerns an agent only within their hours: it is addressed to all.

    Who is named, by a rule or by the session that they got, is told at any time.
    """
    return fact.type == "session.handoff" and not fact.notify


def alert_of(fact: Fact, trigger: Trigger, session: Session | None) -> Alert:
    """Return the alert; *session* as it is now, if it could be had."""
    last = session.last_message if session else None
    return Alert(
        id=fact.fact_id,
        trigger=trigger,
        session=fact.session,
        list=fact.list,
        channel=session.channel if session else "",
        account=session.account if session else "",
        contact_name=session.contact_name if session else "",
        excerpt=last.excerpt if last else "",
        url=f"/#/sessions/{fact.session}",
        at=fact.at,
        because=fact.because,
    )

"""When a session ends by itself: the policy of `auto_termination`, applied to one session. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from libs.common.documents import Session
from libs.common.rules.lookup import switch
from libs.common.switches import IdleRule, Settings, Speaker


class Idle(NamedTuple):
    """The rule that holds for a session, and when it ends if nothing happens."""

    rule: IdleRule
    due: datetime


def idle_end(session: Session, settings: Settings) -> Idle | None:
    """Return when and by which rule *session* ends as it stands; None: it does not.

    What is snoozed, or held by another application, does not end; nor does anything before it is
    said since when idle time counts.
    """
    if session.list == "ended" or session.standby or session.snoozed_until is not None:
        return None
    counts_since = settings.termination.since
    if counts_since is None:
        return None
    rule = rule_of(session, settings)
    if rule is None:
        return None
    since = max(idle_since(session), counts_since)
    return Idle(rule, since + timedelta(seconds=rule.idle_s))


def rule_of(session: Session, settings: Settings) -> IdleRule | None:
    """Return the first rule that fits the session, where the switch is on."""
    on, _level = switch(settings, "auto_termination", session.channel, session.account)
    if not on:
        return None
    spoke = last_speaker(session)
    return next(
        (
            rule
            for rule in settings.termination.rules
            if (not rule.channels or session.channel in rule.channels)
            and session.list in rule.lists
            and spoke in rule.last
        ),
        None,
    )


def last_speaker(session: Session) -> Speaker:
    """Return who spoke last in *session*; of one that does not say so, whose its row shows."""
    if session.spoke is not None:
        return session.spoke
    last = session.last_message
    return last.sender if last is not None and last.sender != "system" else "visitor"


def idle_since(session: Session) -> datetime:
    """Return since when nothing happened in *session* that counts.

    Of one that does not say so: since its last message, by the provider's clock.
    """
    if session.idle_since is not None:
        return session.idle_since
    last = session.last_message
    times = (session.created_at, session.last_inbound_at, last.at if last is not None else None)
    return max(at for at in times if at is not None)

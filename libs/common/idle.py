"""When a session ends by itself: the policy of `auto_termination`, applied to one session. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from libs.common.documents import Session
from libs.common.rules.lookup import switch
from libs.common.switches import IdleRule, Settings


class Idle(NamedTuple):
    """The rule that holds for a session, and when it ends if nothing happens."""

    rule: IdleRule
    due: datetime


def idle_end(session: Session, settings: Settings) -> Idle | None:
    """Return when and by which rule *session* ends as it stands; None: it does not.

    What is snoozed, or held by another application, does not end.
    """
    if session.list == "ended" or session.standby or session.snoozed_until is not None:
        return None
    rule = rule_of(session, settings)
    if rule is None:
        return None
    since = idle_since(session)
    if settings.termination.since is not None:
        since = max(since, settings.termination.since)
    return Idle(rule, since + timedelta(seconds=rule.idle_s))


def rule_of(session: Session, settings: Settings) -> IdleRule | None:
    """Return the first rule that fits the session, where the switch is on."""
    on, _level = switch(settings, "auto_termination", session.channel, session.account)
    if not on:
        return None
    spoke = session.spoke or "visitor"
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


def idle_since(session: Session) -> datetime:
    """Return since when nothing happened in *session* that counts."""
    return session.idle_since or session.updated_at

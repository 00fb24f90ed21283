"""The windows that a visitor opens, in which anything may be sent; pure.

All times are aware; a window ends at its last instant: at the very moment of `until` it is closed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.channel import WindowRule
from libs.common.documents import Session


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A window in which anything may be sent: until when, and how many messages of the provider's.

    `until` is None where there is no limit, and where the visitor never opened one.
    """

    until: datetime | None = None
    left: int | None = None


def opening(session: Session, rule: WindowRule, now: datetime, calls: int = 1) -> Opening:
    """Return the window that a message of so many *calls* goes out in.

    Of the windows that are open and have room for it, the longest; else the longest that is open;
    else the one that closed last. What an event lets us send is not added to what another
    does: WeChat says so of mini programs, and nothing of official accounts.
    """
    if rule.free_s is None:
        return Opening()
    ends = [later(session.window_at, rule.free_s), later(session.ad_at, rule.free_entry_s)]
    full = max((end for end in ends if end is not None), default=None)
    brief = later(session.brief_at, rule.brief_s)
    sent = session.window_sends
    known = [
        Opening(until=full, left=_left(rule.most_sends, sent)),
        Opening(until=brief, left=_left(rule.brief_sends, sent_since(session, session.brief_at))),
    ]
    known = [one for one in known if one.until is not None]
    return max(known, key=lambda one: _worth(one, now, calls), default=Opening())


def sent_since(session: Session, since: datetime | None) -> int:
    """Return how many of the provider's messages we sent after *since*; None: all that is known."""
    return sum(
        session.window_calls.get(id_, 1)
        for id_, at in session.window_sent.items()
        if since is None or at > since
    )


def wrote_since(session: Session, since: datetime) -> bool:
    """Tell whether the visitor has written after *since*, a time of our own clock.

    So it is compared with when the message came to us: a provider's time may be cut to the second,
    and is another clock's. Of a session that was written before that was kept, theirs is all.
    """
    at = session.heard_at or session.last_inbound_at
    return at is not None and at > since


def _left(most: int | None, sent: int) -> int | None:
    return None if most is None else max(most - sent, 0)


def _worth(one: Opening, now: datetime, calls: int) -> tuple[bool, bool, float]:
    """Rank a window: an open one before others, then one with room, then the longest."""
    until = one.until.timestamp() if one.until else 0.0
    fits = one.left is None or one.left >= calls
    return (until > now.timestamp(), fits, until)


def later(start: datetime | None, seconds: float | None) -> datetime | None:
    """Return *seconds* later on the clock of the world: never wall-clock time of a zone."""
    if start is None or seconds is None:
        return None
    return start.astimezone(UTC) + timedelta(seconds=seconds)

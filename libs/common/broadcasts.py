"""How a broadcast goes from one state to the next, and who becomes its recipient when. Pure.

Each act returns the broadcast as it is to be stored; the same one, where that is so already; None,
where it is too late or too early. `fires_at` says when its timer is to fire.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from libs.common.audience import Reached
from libs.common.channels import CHANNELS
from libs.common.ids import derive_id
from libs.common.later import Broadcast, Recipient
from libs.common.wallclock import after_quiet, instant, zone_named

CONTACT_ZONE = "contact"
"""As `Broadcast.zone`: each recipient's own."""
FIRST_ZONE = "Etc/GMT-14"
"""Where a wall-clock time comes first in the world (UTC+14)."""
ENDED = frozenset({"done", "cancelled"})
_DEFAULT_PER_SECOND = 5.0
_FRACTION = 0.5
"""Of what a channel takes; the rest is for conversations."""


def started(broadcast: Broadcast, now: datetime) -> Broadcast | None:
    """Return it on its way: at once, or at its time."""
    if broadcast.state in {"scheduled", "running"}:
        return broadcast
    if broadcast.state != "draft":
        return None
    first = first_due(broadcast, now)
    ahead = first > now
    return _armed(
        broadcast,
        now,
        max(first, now),
        state="scheduled" if ahead else "running",
        due_at=first,
        started_at=None if ahead else now,
    )


def paused(broadcast: Broadcast, now: datetime) -> Broadcast | None:
    """Return it at rest; what the slice under way has sent is sent."""
    if broadcast.state == "paused":
        return broadcast
    if broadcast.state not in {"scheduled", "running"}:
        return None
    return msgspec.structs.replace(
        broadcast,
        state="paused",
        resumes_to=broadcast.state,
        fires_at=None,
        updated_at=now,
    )


def resumed(broadcast: Broadcast, now: datetime) -> Broadcast | None:
    """Return it on its way again, where it was; what has come due meanwhile goes out now."""
    if broadcast.state in {"scheduled", "running"}:
        return broadcast
    if broadcast.state != "paused":
        return None
    due = broadcast.due_at if broadcast.resumes_to == "scheduled" else None
    ahead = due is not None and due > now
    return _armed(
        broadcast,
        now,
        due if due is not None and ahead else now,
        state="scheduled" if ahead else "running",
        resumes_to=None,
        started_at=broadcast.started_at if ahead else broadcast.started_at or now,
    )


def cancelled(broadcast: Broadcast, now: datetime, reason: str = "") -> Broadcast | None:
    """Return it ended: who has not been written to will not be."""
    if broadcast.state == "cancelled":
        return broadcast
    if broadcast.state == "done":
        return None
    return _armed(
        broadcast, now, now, state="cancelled", resumes_to=None, reason=reason, ended_at=now
    )


def copied(broadcast: Broadcast, id_: str, name: str, author: str, now: datetime) -> Broadcast:
    """Return a draft of the same content and audience; its time is to be set again."""
    return Broadcast(
        id=id_,
        workspace=broadcast.workspace,
        name=name,
        author=author,
        audience=broadcast.audience,
        parts=broadcast.parts,
        standard_message=broadcast.standard_message,
        zone=broadcast.zone,
        quiet_hours=broadcast.quiet_hours,
        when_closed=broadcast.when_closed,
        template=broadcast.template,
        per_minute=broadcast.per_minute,
        created_at=now,
        updated_at=now,
        copied_from=broadcast.id,
    )


# --- times -------------------------------------------------------------------------------------


def first_due(broadcast: Broadcast, now: datetime) -> datetime:
    """Return when the first recipient may be due; a `local` time counts, not `due_at`.

    Raises:
        InvalidInputError: `local` or `zone` is none.
    """
    if not broadcast.local:
        return now
    zone = FIRST_ZONE if broadcast.zone == CONTACT_ZONE else broadcast.zone
    return instant(broadcast.local, zone).at


def due_of(broadcast: Broadcast, zone: str, fallback: str, now: datetime) -> datetime:
    """Return when a recipient whose own *zone* may not be known (empty) is due.

    Quiet hours are those of the recipient's wall clock. *fallback* is the workspace's zone.
    """
    own = _known_zone(zone, fallback)
    at = max(_asked(broadcast, own, now), now)
    return after_quiet(at, own, broadcast.quiet_hours).astimezone(UTC)


def quiet_until(broadcast: Broadcast, zone: str, fallback: str, now: datetime) -> datetime:
    """Return *now*, or when the recipient's quiet hours are over; zones as in `due_of`."""
    return after_quiet(now, _known_zone(zone, fallback), broadcast.quiet_hours)


def _known_zone(*names: str) -> str:
    return next((name for name in names if zone_named(name) is not None), "UTC")


def _asked(broadcast: Broadcast, own: str, now: datetime) -> datetime:
    if not broadcast.local:
        return now
    zone = own if broadcast.zone == CONTACT_ZONE else broadcast.zone
    return instant(broadcast.local, zone).at


# --- recipients and pace -----------------------------------------------------------------------


def recipient_id(broadcast: str, contact: str) -> str:
    """Return the id under which a contact is a recipient, so that nobody is one twice."""
    return derive_id("rcp", broadcast, contact)


def recipient_of(
    broadcast: Broadcast, reached: Reached, fallback_zone: str, now: datetime
) -> Recipient:
    """Return the row of one who is reached; who has blocked the account is skipped at once."""
    return Recipient(
        id=recipient_id(broadcast.id, reached.contact.id),
        workspace=broadcast.workspace,
        broadcast=broadcast.id,
        contact=reached.contact.id,
        name=reached.contact.name,
        account=reached.address.account,
        channel=reached.address.channel,
        visitor=reached.address.visitor,
        due_at=due_of(broadcast, reached.contact.zone, fallback_zone, now),
        state="skipped" if reached.blocked else "pending",
        reason="blocked" if reached.blocked else "",
        updated_at=now,
    )


def pace_of(broadcast: Broadcast, channel: str) -> int:
    """Return the most messages in a minute on one account of *channel*.

    As asked for, else half of what the channel takes; never more than that.
    """
    known = CHANNELS.get(channel)
    most = known.pace.per_second if known else _DEFAULT_PER_SECOND / _FRACTION
    if broadcast.per_minute is None:
        return max(int(most * _FRACTION * 60), 1)
    return max(min(broadcast.per_minute, int(most * 60)), 1)


def _armed(broadcast: Broadcast, now: datetime, at: datetime, **changes: object) -> Broadcast:
    return msgspec.structs.replace(
        broadcast,
        fires_at=at,
        updated_at=now,
        **changes,
    )

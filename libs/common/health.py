"""What is known of an account's health: written by the processes that see it, added up on reading.

Each process keeps its own entry in the bucket `health`, under `<account>.<service>.<replica>`, and
writes it at most every few seconds, so replicas never overwrite each other and no call waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec

State = Literal["unknown", "ok", "failing", "revoked"]
"""`failing`: the newest calls failed. `revoked`: the provider refuses the account's credential."""


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one process has seen of one account since it started, or took up its former entry.

    Attributes:
        webhook_at: When the last webhook was accepted; those of a test, which hold nothing, do not
            count.
        refused_at: When the last webhook had a bad signature; `refused` counts them.
        sent_at: When the provider last took a call.
        failed_at: When a call last failed, with its stable code in `failed_code`.
        errors: Failed calls by stable code.
        sent: Calls that were taken, by way (`reply`, `push`, `template`, ...).
        state, state_at: As this process judges it, and since when.
        token_expires_at: When the token ends that is used, where the provider tells it.
        quota_used, quota_at: Share of what the provider allows that is used (0 to 1, or above), and
            when it told so.
    """

    at: datetime
    webhook_at: datetime | None = None
    refused_at: datetime | None = None
    refused: int = 0
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    failed_code: str = ""
    errors: dict[str, int] = {}
    sent: dict[str, int] = {}
    state: State = "unknown"
    state_at: datetime | None = None
    token_expires_at: datetime | None = None
    quota_used: float | None = None
    quota_at: datetime | None = None


FETCHED_BY_US = frozenset({"wechat"})
"""Channels whose tokens the sender fetches, and fetches anew before they end."""

_NEVER = datetime.min.replace(tzinfo=UTC)


def together(seen: Iterable[Seen]) -> Seen | None:
    """Return one view of what several processes have seen; None of nothing.

    Times are the latest, counts are sums, and the state is the one with the newest evidence: of
    two senders that both judged, the one whose calls are newer.
    """
    found = sorted(seen, key=lambda each: each.at)
    if not found:
        return None
    judged = max(found, key=_judged_at)
    failed = max(found, key=lambda each: each.failed_at or _NEVER)
    quota = max(found, key=lambda each: each.quota_at or _NEVER)
    return Seen(
        at=found[-1].at,
        webhook_at=_latest(each.webhook_at for each in found),
        refused_at=_latest(each.refused_at for each in found),
        refused=sum(each.refused for each in found),
        sent_at=_latest(each.sent_at for each in found),
        failed_at=failed.failed_at,
        failed_code=failed.failed_code,
        errors=_sum(each.errors for each in found),
        sent=_sum(each.sent for each in found),
        state=judged.state,
        state_at=judged.state_at,
        token_expires_at=_latest(each.token_expires_at for each in found),
        quota_used=quota.quota_used,
        quota_at=quota.quota_at,
    )


def _judged_at(seen: Seen) -> datetime:
    if seen.state_at is None:
        return _NEVER
    return max(seen.state_at, seen.sent_at or _NEVER, seen.failed_at or _NEVER)


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time), default=None)


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total

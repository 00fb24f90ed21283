"""What the services have seen of each account, in words: credentials, signatures, silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nats.errors import Error as NatsError

from libs.common.directory import AccountEntry
from libs.common.doctor.findings import Check, note, ok, wrong
from libs.common.health import FETCHED_BY_US, Seen, together
from libs.common.rhythm import Expectation, Rhythm, Silence
from libs.common.rhythm import words as silent_words
from libs.common.subjects import HEALTH_KV, RHYTHM_KV

_decode = msgspec.json.Decoder(Seen).decode
_rhythm = msgspec.json.Decoder(Rhythm).decode

_SOON, _ENDS, _FULL = timedelta(days=7), timedelta(days=1), 0.9
"""As the alerts TokenExpiring, TokenEnds and QuotaNearlyUsed."""

Sightings = dict[str, list[Seen]]
"""By account, what each process has seen of it."""

Rhythms = dict[str, Rhythm]
"""By account, when its webhooks come as a rule."""


async def read_health(connection: Any, into: Sightings) -> None:
    """Add what the bucket `health` holds; nothing where there is no bucket."""
    with suppress(NatsError):  # an absent bucket is told of by the check of the streams
        bucket = await connection.jetstream().key_value(HEALTH_KV.name)
        for key in await bucket.keys():
            with suppress(NatsError, ValueError):  # gone meanwhile, or of a newer version
                seen = _decode((await bucket.get(key)).value or b"")
                into.setdefault(key.partition(".")[0], []).append(seen)


async def read_rhythms(connection: Any, into: Rhythms) -> None:
    """Add what the bucket `rhythm` holds; nothing where there is no bucket."""
    with suppress(NatsError):
        bucket = await connection.jetstream().key_value(RHYTHM_KV.name)
        for key in await bucket.keys():
            with suppress(NatsError, ValueError):
                into[key] = _rhythm((await bucket.get(key)).value or b"")


def look_at_health(
    entries: Iterable[AccountEntry],
    sightings: Mapping[str, list[Seen]],
    rhythms: Mapping[str, Rhythm] | None = None,
    now: datetime | None = None,
) -> Iterator[Check]:
    """Yield how each account that is switched on fares; one check each.

    A credential that the provider refuses is wrong, and so is silence against the account's own
    rhythm. Failed calls and bad signatures are notes: they may be over, and anybody can post a bad
    signature.
    """
    now = now or datetime.now(UTC)
    for entry in sorted(entries, key=lambda each: each.slug):
        if entry.enabled:
            seen = together(sightings.get(entry.slug, ()))
            rhythm = (rhythms or {}).get(entry.slug)
            silence = _silence(rhythm, seen, now)
            yield _check(f"health {entry.slug}", _of_people(entry, seen), silence, now)


def _silence(rhythm: Rhythm | None, seen: Seen | None, now: datetime) -> Silence | None:
    if rhythm is None:
        return None
    heard = seen.webhook_at if seen else None
    last_at = max(rhythm.last_at, heard or rhythm.last_at)
    return Expectation(rhythm).silence(last_at, now, rhythm.on_since)


def _of_people(entry: AccountEntry, seen: Seen | None) -> Seen | None:
    """Return what is seen without the end of a token that we fetch ourselves, each two hours."""
    if seen is None or entry.channel not in FETCHED_BY_US:
        return seen
    return msgspec.structs.replace(seen, token_expires_at=None)


def _check(name: str, seen: Seen | None, silence: Silence | None, now: datetime) -> Check:
    words = "unknown: no service has seen a webhook or sent a message lately"
    if seen is not None:
        words = f"{_state(seen)}; {_webhook(seen)}; {_refused(seen)}{_token(seen)}{_quota(seen)}"
    if silence is not None:
        return wrong(name, f"{silent_words(silence)}; {words}")
    if seen is None:
        return note(name, words)
    left = seen.token_expires_at - now if seen.token_expires_at else timedelta.max
    if seen.state == "revoked" or left < _ENDS:
        return wrong(name, words)
    if seen.state == "failing" or seen.refused or left < _SOON or (seen.quota_used or 0) > _FULL:
        return note(name, words)
    return ok(name, words) if _fares(seen) else note(name, words)


def _fares(seen: Seen) -> bool:
    """Tell whether any service has seen it at work, not only its provider told of it."""
    return bool(seen.webhook_at or seen.sent_at or seen.state_at or seen.failed_at)


def _state(seen: Seen) -> str:
    since = f" since {_time(seen.state_at)}" if seen.state_at else ""
    if seen.state == "revoked":
        return f"revoked{since}: the provider refuses its credential; give it a new one"
    if seen.state == "failing":
        return f"failing{since}: calls to the provider end in {seen.failed_code or 'errors'}"
    return f"{seen.state}{since}"


def _webhook(seen: Seen) -> str:
    return f"last webhook {_time(seen.webhook_at)}" if seen.webhook_at else "no webhook seen"


def _refused(seen: Seen) -> str:
    if not seen.refused:
        return "no bad signature"
    last = f", the last {_time(seen.refused_at)}" if seen.refused_at else ""
    return f"bad signatures: {seen.refused}{last} (`doctor payload` says why)"


def _token(seen: Seen) -> str:
    return f"; its token ends {_time(seen.token_expires_at)}" if seen.token_expires_at else ""


def _quota(seen: Seen) -> str:
    return f"; quota used: {seen.quota_used:.0%}" if seen.quota_used is not None else ""


def _time(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "never"

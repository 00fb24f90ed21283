"""The limits of the policy of automatic ends, and since when idle time counts by it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import get_args

import msgspec

from libs.common.switches import ChannelSettings, IdleRule, Settings, Speaker

DAY_S = 24 * 3600
TERMINATED = "auto_terminated"
"""Why a session has ended that was idle."""
IDLE_LEAST_S = 60
IDLE_MOST_S = 90 * DAY_S
RULES_MOST = 50
PER_MINUTE_MOST = 6000
UNDO_MOST_S = 30 * DAY_S
FAREWELL_MOST = 1000
LISTS = ("bot_hosted", "unassigned", "assigned")
"""Where a session can end by itself."""
SPEAKERS: tuple[str, ...] = get_args(Speaker)


def is_on(settings: Settings) -> bool:
    """Tell whether sessions end by themselves anywhere."""
    return settings.auto_termination or any(on for _level, on in overrides(settings))


def overrides(settings: Settings) -> Iterator[tuple[tuple[str, str], bool]]:
    """Yield each channel and account that says itself whether sessions end there."""
    for kind in ("channels", "accounts"):
        levels: Mapping[str, ChannelSettings] = getattr(settings, kind)
        for name, level in levels.items():
            if level.auto_termination is not None:
                yield (kind, name), level.auto_termination


def in_time(rules: tuple[IdleRule, ...]) -> tuple[IdleRule, ...]:
    """Return the rules without what does not decide when a session ends."""
    return tuple(msgspec.structs.replace(rule, farewell="") for rule in rules)


def counted(before: Settings, after: Settings, now: datetime) -> Settings:
    """Return *after* with `termination.since` as we keep it, whatever it says itself.

    Idle time counts from *now* on when sessions begin to end somewhere, or by other rules, so that
    no change sweeps up what has been idle for long; else from when it did before. Where they end
    already and nothing says since when, as a former version left it, it is from *now* on, too.
    """
    termination = after.termination
    since = before.termination.since
    if is_on(after) and (since is None or _tightened(before, after)):
        since = now
    if since == termination.since:
        return after
    termination = msgspec.structs.replace(termination, since=since)
    return msgspec.structs.replace(after, termination=termination)


def _tightened(before: Settings, after: Settings) -> bool:
    """Tell whether a session may end now that would not have, or sooner."""
    if in_time(before.termination.rules) != in_time(after.termination.rules):
        return True
    if after.auto_termination and not before.auto_termination:
        return True
    was, is_now = dict(overrides(before)), dict(overrides(after))
    return any(
        was.get(level) != is_now.get(level) and is_now.get(level) is not False
        for level in {*was, *is_now}
    )

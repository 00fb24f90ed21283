"""What is wrong with when sessions end by themselves, and with the hours of what is scheduled."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from libs.common.rules.finding import Finding, unknown, wrong
from libs.common.switches import IdleRule, Settings
from libs.common.termination import (
    FAREWELL_MOST,
    IDLE_LEAST_S,
    IDLE_MOST_S,
    LISTS,
    PER_MINUTE_MOST,
    RULES_MOST,
    SPEAKERS,
    UNDO_MOST_S,
)
from libs.common.wallclock import ZONE, quiet_problem, zone_named


def check_termination(settings: Settings, channels: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with `termination`, `zone` and `quiet_hours`."""
    termination = settings.termination
    place = "settings.termination"
    if len(termination.rules) > RULES_MOST:
        text = f"there are {len(termination.rules)}; allowed: at most {RULES_MOST}"
        yield wrong(f"{place}.rules", text)
    for number, rule in enumerate(termination.rules[:RULES_MOST]):
        yield from _rule(f"{place}.rules[{number}]", rule, channels)
    yield from _within(f"{place}.per_minute", termination.per_minute, 1, PER_MINUTE_MOST)
    yield from _within(f"{place}.undo_s", termination.undo_s, 0, UNDO_MOST_S)
    yield from _clocks(settings)


def _rule(place: str, rule: IdleRule, channels: Collection[str]) -> Iterator[Finding]:
    for number, channel in enumerate(rule.channels):
        yield from unknown(f"{place}.channels[{number}]", "channel", channel, channels)
    yield from _named(f"{place}.lists", rule.lists, LISTS)
    yield from _named(f"{place}.last", rule.last, SPEAKERS)
    yield from _within(f"{place}.idle_s", rule.idle_s, IDLE_LEAST_S, IDLE_MOST_S)
    if len(rule.farewell) > FAREWELL_MOST:
        text = f"has {len(rule.farewell)} characters; allowed: at most {FAREWELL_MOST}"
        yield wrong(f"{place}.farewell", text)
    if rule.farewell and not rule.farewell.strip():
        yield wrong(f"{place}.farewell", "is blank; allowed: a text, or nothing at all")
    if "{{" in rule.farewell:
        text = "has a place for a value, and none is filled here; allowed: a text without {{"
        yield wrong(f"{place}.farewell", text)


def _named(place: str, names: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[Finding]:
    listed = ", ".join(allowed)
    if not names:
        yield wrong(place, f"is empty, so that the rule never fits; allowed: some of {listed}")
    for number, name in enumerate(names):
        if name not in allowed:
            yield wrong(f"{place}[{number}]", f"{name!r} is none of them; allowed: {listed}")


def _within(place: str, value: int, least: int, most: int) -> Iterator[Finding]:
    if not least <= value <= most:
        yield wrong(place, f"{value} is out of range; allowed: {least} to {most}")


def _clocks(settings: Settings) -> Iterator[Finding]:
    if zone_named(settings.zone) is None:
        text = f"{settings.zone[:60]!r} is no zone of the IANA list; allowed: a name such as {ZONE}"
        yield wrong("settings.zone", text)
    quiet = settings.quiet_hours
    field = quiet_problem(quiet) if quiet is not None else ""
    if field:
        given = getattr(quiet, field)
        text = f"{given[:20]!r} is no end of them; allowed: HH:MM, and start and end differ"
        yield wrong(f"settings.quiet_hours.{field}", text)

"""What is wrong with how an agent wants to be alerted. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.alerts import SOUNDS, Preferences
from libs.common.errors import InvalidInputError
from libs.common.switches import Alerting
from libs.common.wallclock import ZONE, quiet_problem, zone_named
from services.desk.api.settings_alerts import TRIGGERS, unknown_trigger


def check(before: Preferences, after: Preferences, settings: Alerting) -> None:
    """Refuse what cannot be.

    Raises:
        InvalidInputError: Names the field, and what is allowed there.
    """
    for found in _problems(before, after, settings):
        raise found


def wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    """Return the refusal of a field."""
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)


def _problems(
    before: Preferences, after: Preferences, settings: Alerting
) -> Iterator[InvalidInputError]:
    yield from _names(after)
    yield from _methods(after)
    yield from _locks(before, after, settings)
    yield from _sounds(after)
    yield from _clocks(after)


def _names(after: Preferences) -> Iterator[InvalidInputError]:
    for place, names in (("triggers", after.triggers), ("sounds", after.sounds)):
        for name in names:
            if name not in TRIGGERS:
                yield unknown_trigger(place, name)


def _methods(after: Preferences) -> Iterator[InvalidInputError]:
    for trigger, methods in after.triggers.items():
        if len(set(methods)) < len(methods):
            yield wrong(f"triggers.{trigger}", "a method stands twice", "each method once")


def _locks(
    before: Preferences, after: Preferences, settings: Alerting
) -> Iterator[InvalidInputError]:
    """Yield what is locked and chosen; what was chosen before may stand, and be given back."""
    for trigger, methods in after.triggers.items():
        default = settings.triggers.get(trigger)
        if default and default.locked and before.triggers.get(trigger) != methods:
            held = ", ".join(default.methods) or "no method"
            allowed = f"{held}: your workspace has set it for everybody"
            yield wrong(f"triggers.{trigger}", "it is locked", allowed)


def _sounds(after: Preferences) -> Iterator[InvalidInputError]:
    chosen = {f"sounds.{trigger}": sound for trigger, sound in after.sounds.items()}
    for place, sound in {"sound": after.sound, **chosen}.items():
        if sound not in SOUNDS:
            yield wrong(place, f"{sound[:50]!r} is no sound", ", ".join(SOUNDS))


def _clocks(after: Preferences) -> Iterator[InvalidInputError]:
    if after.zone and zone_named(after.zone) is None:
        words = f"{after.zone!r} is no zone of the IANA list"
        yield wrong("zone", words, f"a name such as {ZONE}, or empty: the workspace's")
    if after.quiet_hours and (field := quiet_problem(after.quiet_hours)):
        yield wrong(f"quiet_hours.{field}", "it is the start", "HH:MM, and start and end differ")

"""Wall clocks: which instant a local time means, and where quiet hours end. Pure.

Where clocks change, a local time does not name one instant:

* skipped by the clock (a gap): it is moved forward by the length of the gap, so 02:30 of a night
  that jumps from 02:00 to 03:00 is 03:30;
* shown twice (an overlap): the first of the two.

Quiet hours go by what the clock shows at an instant: what falls inside is moved to the first
instant at which the clock shows a time outside. If the clock skips their end, that is the jump.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal, NamedTuple

from libs.common.errors import InvalidInputError
from libs.common.rules.hours import jump, zone_of
from libs.common.switches import QuietHours

Shifted = Literal["", "gap", "overlap"]

LOCAL = "2026-12-24T18:30"
ZONE = "Europe/Berlin"
_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_NO_PLACE = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""Names that hosts keep beside the list: with leap seconds, twice, or of the host itself."""
_DAY = timedelta(days=1)
_AGAIN = 3
"""Quiet hours may begin again where the clock jumps over the minutes between them."""


class Wall(NamedTuple):
    """The instant (UTC) that a local time means, and whether it had to be chosen."""

    at: datetime
    shifted: Shifted


def zone_named(name: str) -> tzinfo | None:
    """Return the zone of this IANA name, None where there is none."""
    return None if not name or name.startswith(_NO_PLACE) else zone_of(name)


def instant(local: str, zone: str) -> Wall:
    """Return what *local*, `YYYY-MM-DDTHH:MM[:SS]`, means in *zone* (IANA).

    Raises:
        InvalidInputError: Names the field, `at` or `zone`.
    """
    place = _zone(zone)
    if not _LOCAL.fullmatch(local):
        raise _wrong("at", f"{local[:40]!r} is no local time", f"YYYY-MM-DDTHH:MM, as {LOCAL}")
    try:
        wall = datetime.fromisoformat(local)
        first, second = (wall.replace(tzinfo=place, fold=n).astimezone(UTC) for n in (0, 1))
    except (ValueError, OverflowError):
        words = f"{local!r} is no time of the calendar"
        raise _wrong("at", words, f"YYYY-MM-DDTHH:MM, as {LOCAL}") from None
    if first == second:
        return Wall(first, "")
    # PEP 495: in a gap the first reading goes by the offset before the jump, so it lies behind it
    return Wall(first, "gap" if first > second else "overlap")


def local_time(at: datetime, zone: str) -> str:
    """Return what the clocks of *zone* show at *at* (aware), as `instant` reads it.

    Raises:
        InvalidInputError: There is no such zone.
    """
    shown = at.astimezone(_zone(zone)).replace(tzinfo=None)
    return shown.isoformat(timespec="seconds" if shown.second else "minutes")


def after_quiet(at: datetime, zone: str, quiet: QuietHours | None) -> datetime:
    """Return *at* (aware), or the end (UTC) of the quiet hours that it falls into.

    Quiet hours with a problem are none. A zone that is not known is read as UTC.
    """
    place = zone_named(zone) or UTC
    if quiet is None or quiet_problem(quiet):
        return at
    start, end = _clock(quiet.start), _clock(quiet.end)
    for _ in range(_AGAIN):
        shown = at.astimezone(place).time()
        if not _inside(shown, start, end):
            break
        at = _next(at, place, end)
    return at


def quiet_problem(quiet: QuietHours) -> str:
    """Return the field that is wrong: no `HH:MM`, or the end is the start; empty: none."""
    wrong = (name for name in ("start", "end") if not _CLOCK.fullmatch(getattr(quiet, name)))
    found = next(wrong, "")
    return found or ("end" if _clock(quiet.start) == _clock(quiet.end) else "")


def _zone(name: str) -> tzinfo:
    found = zone_named(name)
    if found is None:
        words = f"{name[:60]!r} is not a zone of the IANA list"
        raise _wrong("zone", words, f"a name such as {ZONE}")
    return found


def _inside(shown: time, start: time, end: time) -> bool:
    return start <= shown < end if start < end else shown >= start or shown < end


def _next(at: datetime, place: tzinfo, end: time) -> datetime:
    """Return the first instant after *at* at which the clock shows *end*, or jumps over it."""
    day = at.astimezone(place).date()
    walls = (datetime.combine(day + number * _DAY, end) for number in (0, 1, 2))
    return next(found for wall in walls for found in _moments(wall, place) if found > at)


def _moments(wall: datetime, place: tzinfo) -> tuple[datetime, ...]:
    first, second = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    return (jump(place, second, first),) if first > second else (first, second)


def _clock(text: str) -> time:
    return time() if text == "24:00" else time.fromisoformat(text)


def _wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)

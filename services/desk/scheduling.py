"""When something scheduled goes out, and whether the channel will let it. Pure.

Local times are read as `libs.common.wallclock` says; windows as `libs.common.windows` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from msgspec.structs import replace

from libs.common.channel import Account, Channel
from libs.common.documents import Session
from libs.common.errors import CommandError, InvalidInputError
from libs.common.events import ContentPart
from libs.common.later import ScheduledMessage
from libs.common.openings import wrote_since
from libs.common.outgoing import calls_of
from libs.common.variables import ALLOWED, broken, may_be_blank, unknown
from libs.common.wallclock import Shifted, instant, local_time
from libs.common.windows import Permit, RefusalCode, Wish, permitted

GRACE = timedelta(seconds=5)
"""What is due so short a time ago is due now."""
AHEAD = timedelta(days=366)
"""The farthest that something is scheduled ahead."""
FORM = "YYYY-MM-DDTHH:MM of `zone`'s clock, or with an offset such as Z or +02:00"
INSTANT = "RFC 3339 with an offset, such as 2026-05-01T08:00:00Z"

_OFFSET = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)

Outlook = Literal["goes", "template", "replied", "stale_epoch"] | RefusalCode
"""What would become of it at its time if nothing happened before; `template`: that goes instead."""
CLOSED: frozenset[Outlook] = frozenset({"window_closed", "no_window", "count_used_up"})
"""It waits for the visitor to write; all else is for good."""
NEVER: frozenset[Outlook] = frozenset(
    {"blocked", "account_unavailable", "template_unknown", "template_values"}
)


class Moment(NamedTuple):
    """What a time that was asked for means: the clock's reading, the instant (UTC), how chosen."""

    local: str
    at: datetime
    shifted: Shifted


def moment(text: str, zone: str, field: str = "at") -> Moment:
    """Return what *text* means: a local time of *zone* (IANA), or an instant with its offset.

    Raises:
        InvalidInputError: Names *field*, or `zone`.
    """
    with renamed("at", field):
        if not _OFFSET.fullmatch(text):
            found = instant(text, zone)
            return Moment(text, found.at, found.shifted)
        try:
            at = datetime.fromisoformat(text).astimezone(UTC)
            return Moment(local_time(at, zone), at, "")
        except (ValueError, OverflowError):
            raise wrong(field, f"{text[:40]!r} is no time", FORM) from None


def utc(at: datetime, field: str) -> datetime:
    """Return *at* in UTC.

    Raises:
        InvalidInputError: It has no offset, or none in UTC (year 0 or 10000); names *field*.
    """
    if at.tzinfo is None:
        raise wrong(field, "the offset is missing", INSTANT)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise wrong(field, "lies before year 1 or after 9999 in UTC", INSTANT) from None


def check_ahead(at: datetime, now: datetime, field: str = "at") -> None:
    """Refuse a time that has passed, or is too far away.

    Raises:
        InvalidInputError: Names *field*.
    """
    if at < now - GRACE:
        raise wrong(field, f"{at.isoformat()} has passed", "a time to come")
    if at > now + AHEAD:
        raise wrong(field, f"{at.isoformat()} is too far ahead", f"at most {AHEAD.days} days ahead")


def outlook(
    session: Session,
    channel: Channel,
    account: Account | None,
    doc: ScheduledMessage,
    now: datetime,
) -> Outlook:
    """Return what would become of *doc* in *session*, the visitor's newest, as things stand."""
    if doc.only_if_no_reply and wrote_since(session, doc.created_at):
        return "replied"
    if doc.unless_moved and (session.id != doc.session or session.epoch != doc.epoch):
        return "stale_epoch"
    wish = Wish(parts=doc.parts, actor_kind="schedule")
    found = permitted(session, channel, account, wish, max(doc.due_at, now))
    return "goes" if isinstance(found, Permit) else found.code


def expected(
    session: Session,
    channel: Channel,
    account: Account | None,
    doc: ScheduledMessage,
    now: datetime,
) -> Outlook:
    """Return what `outlook` does, but `template` where the window is closed and that one goes."""
    found = outlook(session, channel, account, doc, now)
    if found not in CLOSED or doc.template is None:
        return found
    instead = replace(doc, parts=(doc.template,))
    found = outlook(session, channel, account, instead, now)
    return "template" if found == "goes" else found


def too_many(channel: Channel, doc: ScheduledMessage) -> int | None:
    """Return how many messages a window takes, where *doc* becomes more than that; else None."""
    most = channel.window.most_sends
    return most if most is not None and calls_of(channel, doc.parts) > most else None


def check_variables(parts: Sequence[ContentPart], field: str, *, bare: bool = False) -> None:
    """Refuse places that are none, and texts of which nothing might be left unless *bare*.

    Raises:
        InvalidInputError: Names *field*.
    """
    for text in broken(parts):
        words = f"{text!r} is no variable: it does not end, or has braces in it"
        raise wrong(field, words, "{{name|fallback}}, closed and without braces inside")
    for name in unknown(parts):
        raise wrong(field, f"{{{{{name[:60]}}}}} is no variable", ALLOWED)
    for text in () if bare else may_be_blank(parts):
        words = f"nothing is left of {text.strip()[:60]!r} where the value is not known"
        raise wrong(field, words, "a fallback, as in {{contact.name|there}}")


@contextmanager
def renamed(before: str, after: str) -> Iterator[None]:
    """Name the field *before*, or what is inside of it, *after* in whatever is refused."""
    try:
        yield
    except CommandError as error:
        field = error.facts.get("field", "")
        if before and field != before and not field.startswith(f"{before}."):
            raise
        fresh = after + field[len(before) :] if before else after
        error.facts = {**error.facts, "field": fresh}
        error.detail = f"{fresh}{error.detail.removeprefix(field)}" if field else error.detail
        raise


def wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    """Return the refusal of a field, with what is allowed there."""
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)

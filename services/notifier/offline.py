"""Whether a visitor of the web chat has left without our replies, and what is to be done. Pure.

A reply waits in the plugin in any case. It goes out by email as well where it is to, an address is
known, and the visitor has given no sign of life since it was shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.awaited import MOST_REPLIES, Awaited, Letter, Reply, Written
from libs.common.events import SendRequest
from libs.common.switches import OfflineVisitors

LONGEST_QUIETS = 10
"""However fast replies follow each other, an email waits for no more quiet periods than these."""
A_DAY = timedelta(days=1)
MAILS_A_DAY = 20
"""Most emails to one address: it comes from a form, and may be anybody's."""
MACHINES_A_DAY = 200
"""Most emails of an account in which no person has answered: whoever opens the chat page can have
its bot answer to any address."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when it is looked.

    Attributes:
        seen: The visitor's last sign of life, by our clock; a message of theirs is one.
        known_since: Since when no sign was missed.
        read_up_to: As `Session.read_up_to`.
        address: Where the visitor reads email; empty: not known.
    """

    now: datetime
    seen: datetime | None
    known_since: datetime
    read_up_to: datetime | None
    settings: OfflineVisitors
    address: str


def wants_mail(request: SendRequest, settings: OfflineVisitors) -> bool:
    """Tell whether *request* may have to go out by email: nobody else needs to be looked after."""
    return request.channel == "web" and (request.offline or settings.method) == "email"


def noted(doc: Awaited, reply: Reply, settings: OfflineVisitors) -> Awaited | None:
    """Return *doc* with one more reply; None where it is known already."""
    if reply.id in doc.settled or any(known.id == reply.id for known in doc.replies):
        return None
    replies = (*doc.replies, reply)
    kept, dropped = replies[-MOST_REPLIES:], replies[:-MOST_REPLIES]
    doc = _settled(doc, tuple(each.id for each in dropped), kept, reply.at)
    due = _due(kept, settings, doc.mailed_at)
    if doc.letter is not None and doc.due_at is not None and doc.due_at > reply.at:
        due = min(due, doc.due_at)  # it is to be tried again then
    return msgspec.structs.replace(doc, due_at=due)


def looked(doc: Awaited, view: View) -> Awaited:
    """Return *doc* as it is to be, now that it is looked at: perhaps with a letter to send.

    Without a letter and without `due_at` there is nothing more to do.
    """
    if doc.letter is not None:
        return doc
    unseen = tuple(reply for reply in doc.replies if not _has_seen(reply, view))
    waiting = tuple(reply for reply in unseen if _by_email(reply, view))
    kept = {reply.id for reply in waiting}
    over = tuple(reply.id for reply in doc.replies if reply.id not in kept)
    doc = _settled(doc, over, waiting, view.now)
    if not waiting:
        return msgspec.structs.replace(doc, due_at=None)
    due = _due(waiting, view.settings, doc.mailed_at, view.known_since)
    if due > view.now:
        return msgspec.structs.replace(doc, due_at=due)
    letter = Letter(
        key=f"{doc.id}:{waiting[-1].id}",
        to=view.address,
        replies=tuple(reply.id for reply in waiting),
        at=view.now,
    )
    return msgspec.structs.replace(doc, letter=letter, due_at=view.now)


def later(doc: Awaited, at: datetime, now: datetime) -> Awaited:
    """Return *doc* whose letter could not be sent yet."""
    return msgspec.structs.replace(doc, due_at=at, updated_at=now)


def closed(doc: Awaited, settings: OfflineVisitors, now: datetime, *, mailed: bool) -> Awaited:
    """Return *doc* whose letter is out, or given up; what came meanwhile is still open."""
    if doc.letter is None:
        return doc
    gone = doc.letter.replies
    left = tuple(reply for reply in doc.replies if reply.id not in gone)
    doc = _settled(doc, gone, left, now)
    mailed_at = now if mailed else doc.mailed_at
    due = _due(left, settings, mailed_at) if left else None
    return msgspec.structs.replace(doc, letter=None, mailed_at=mailed_at, due_at=due)


def charged(written: Written, key: str, now: datetime, most: int = MAILS_A_DAY) -> Written | None:
    """Return *written* with the email *key* among the day's; None where it is more than *most*."""
    mails = tuple((name, at) for name, at in written.mails if now - at < A_DAY)
    if all(name != key for name, _ in mails):
        if len(mails) >= most:
            return None
        mails = (*mails, (key, now))
    return msgspec.structs.replace(written, mails=mails, updated_at=now)


def _has_seen(reply: Reply, view: View) -> bool:
    if view.seen is not None and view.seen >= reply.at:
        return True
    return view.read_up_to is not None and view.read_up_to >= reply.said_at


def _by_email(reply: Reply, view: View) -> bool:
    return bool(view.address) and (reply.method or view.settings.method) == "email"


def _due(
    replies: tuple[Reply, ...],
    settings: OfflineVisitors,
    mailed_at: datetime | None,
    known_since: datetime | None = None,
) -> datetime:
    """Return when these replies go out, if nothing is heard of the visitor until then."""
    after, quiet = timedelta(seconds=settings.after_s), timedelta(seconds=settings.quiet_s)
    oldest, newest = replies[0].at, replies[-1].at
    gone_at = max(oldest, known_since or oldest) + after
    quiet_at = min(newest + quiet, oldest + after + LONGEST_QUIETS * quiet)
    due = max(gone_at, quiet_at)
    return max(due, mailed_at + quiet) if mailed_at is not None else due


def _settled(doc: Awaited, ids: tuple[str, ...], left: tuple[Reply, ...], now: datetime) -> Awaited:
    settled = (*doc.settled, *ids)[-MOST_REPLIES:]
    return msgspec.structs.replace(doc, replies=left, settled=settled, updated_at=now)

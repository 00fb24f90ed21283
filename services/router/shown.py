"""What a list row shows of the newest message, after its edits and its unsending. Pure.

An edit or unsend may come before its message. The session keeps the newest few, merged by what
they change, so that the row is right at once and in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.documents import Alteration, LastMessage, Message
from libs.common.events import MessageDeleted, MessageEdited
from services.router.entry import excerpt

KEPT = 16
"""Changed messages that a session remembers, those of the shown one first."""

_Rank = tuple[bool, int, datetime, int]


def alteration_of(entry: Message, event: MessageEdited | MessageDeleted) -> Alteration:
    """Return what *event*, kept as *entry*, does to the row of its target."""
    removed = Alteration(
        target=event.target, at=entry.occurred_at, sequence=entry.sequence, deleted=True
    )
    if isinstance(event, MessageDeleted):
        return removed
    text = excerpt(event.parts)
    return msgspec.structs.replace(removed, deleted=False, version=event.version, excerpt=text)


def last_of(entry: Message) -> LastMessage:
    """Return *entry* as a row shows it when nothing changed it."""
    return LastMessage(
        id=entry.id,
        at=entry.occurred_at,
        direction=entry.direction or "in",
        sender=entry.sender,
        excerpt=excerpt(entry.parts),
    )


def merged(alterations: Iterable[Alteration]) -> dict[str, Alteration]:
    """Return by target the one that holds: an unsend for ever, else the highest (version, time)."""
    found: dict[str, Alteration] = {}
    for one in alterations:
        before = found.get(one.target)
        if before is None or _rank(before) < _rank(one):
            found[one.target] = one
    return found


def altered(
    last: LastMessage, ids: Iterable[str], alterations: dict[str, Alteration]
) -> LastMessage:
    """Return *last*, which is also known by *ids*, as it stands after *alterations*."""
    found = [alterations[id_] for id_ in ids if id_ in alterations]
    if not found:
        return last
    holds = max(found, key=_rank)
    return msgspec.structs.replace(last, excerpt=holds.excerpt, deleted=holds.deleted)


def kept(ids: Iterable[str], alterations: dict[str, Alteration]) -> tuple[Alteration, ...]:
    """Return the `KEPT` that matter longest: of the shown message, then the newest."""
    shown = set(ids)
    order = sorted(
        alterations.values(), key=lambda one: (one.target in shown, one.at, one.sequence)
    )
    return tuple(order[-KEPT:])


def _rank(one: Alteration) -> _Rank:
    return (one.deleted, one.version, one.at, one.sequence)

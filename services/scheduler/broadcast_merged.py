"""Who became one with another recipient since they were gathered: such a person is sent to once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from libs.common.broadcasts import recipient_id
from libs.common.documents import IDENTITIES, Identity
from libs.common.ids import derive_id
from libs.common.later import RECIPIENTS, Recipient
from libs.common.store.api import In, Page, Store, cursor

MERGED = "merged"
_OUT = frozenset({"sent", "delivered", "read"})
_TO_COME = frozenset({"pending", "sending"})
_MANY = 500


async def merged(store: Store, rows: Sequence[Recipient]) -> set[str]:
    """Return those of *rows*, of one broadcast, by id, whose person is another recipient, too.

    Whom the other row has reached, or will: of two that are both to come the one of the contact
    that is left counts. A contact's id is that of its first identity, so those that were merged
    into it are known by its identities.

    Raises:
        StoreUnavailableError: The store is away.
    """
    now = await _contacts_now(store, rows)
    former = await _former(store, rows[0].workspace, set(now.values())) if rows else {}
    others = {
        row.id: {
            recipient_id(row.broadcast, contact)
            for contact in former[now[row.id]] | {now[row.id]}
            if contact != row.contact
        }
        for row in rows
    }
    wanted = sorted(set().union(*others.values()))
    found: dict[str, Recipient] = {}
    for names in _chunks(wanted):
        found |= await store.get_many(RECIPIENTS, rows[0].workspace, names)
    return {
        row.id
        for row in rows
        if any(
            _comes_first(found[other], row, now[row.id])
            for other in others[row.id]
            if other in found
        )
    }


def _comes_first(other: Recipient, row: Recipient, left: str) -> bool:
    """Tell whether *other* is sent to in place of *row*; *left* is the contact of both by now."""
    if other.message or other.state in _OUT:
        return True
    turn, own = ((one.contact != left, one.contact) for one in (other, row))
    return other.state in _TO_COME and turn < own


async def _contacts_now(store: Store, rows: Sequence[Recipient]) -> dict[str, str]:
    """Return whose the address of each row is now, by the row's id."""
    names = {row.id: derive_id("idn", row.workspace, row.account, row.visitor) for row in rows}
    found: dict[str, Identity] = {}
    for some in _chunks(sorted(set(names.values()))):
        found |= await store.get_many(IDENTITIES, rows[0].workspace, some)
    return {
        row.id: found[names[row.id]].contact if names[row.id] in found else row.contact
        for row in rows
    }


async def _former(
    store: Store, workspace: str, contacts: Iterable[str]
) -> defaultdict[str, set[str]]:
    """Return the ids that those had who are one of *contacts* by now."""
    former: defaultdict[str, set[str]] = defaultdict(set)
    for some in _chunks(sorted(contacts)):
        page = Page(order="contact", limit=_MANY)
        while True:
            found = await store.find(IDENTITIES, workspace, {"contact": In(tuple(some))}, page)
            for one in found:
                own = derive_id("con", workspace, one.account, one.visitor)
                former[one.contact].add(own)
            if len(found) < _MANY:
                break
            page = msgspec.structs.replace(page, after=cursor(IDENTITIES, "contact", found[-1]))
    return former


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _MANY):
        yield list(names[start : start + _MANY])

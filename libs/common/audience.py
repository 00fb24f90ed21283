"""Whom an audience reaches, and where: read in pages, by what counts and by what gathers.

A contact counts once, at one address: of those that the audience allows, where one is not blocked
and was spoken with last; else an address where there never was a session, such as a follower's.
Who has no such address is not in the audience.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from libs.common.documents import (
    ACCOUNTS,
    CONTACTS,
    IDENTITIES,
    SESSIONS,
    Contact,
    Identity,
    Session,
)
from libs.common.later import Audience
from libs.common.policies import read_all
from libs.common.store.api import Collection as Kept
from libs.common.store.api import Cursor, D, In, Page, Store, cursor
from libs.common.strays import Place, blocked_strangers

PAGE = 500
_MOST_ROWS = 1000
BY_NAME_ONLY = frozenset({"fb_comment"})
"""Channels that are taken only where the audience names them: what is sent there is public."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class Address(NamedTuple):
    """Where somebody is reached."""

    account: str
    channel: str
    visitor: str


class Reached(NamedTuple):
    """A contact of the audience, and where; `blocked`: they do not want to be.

    `session` is the open one there, else the newest; None where there never was one.
    """

    contact: Contact
    address: Address
    blocked: bool = False
    session: Session | None = None


class Slice(NamedTuple):
    """Some of an audience, and where to read on; the last one has an empty `cursor`."""

    reached: tuple[Reached, ...]
    cursor: str


class Known(NamedTuple):
    """What is stored of one contact; `blocked`: where they are known to be so without a session."""

    contact: Contact
    identities: Sequence[Identity] = ()
    sessions: Sequence[Session] = ()
    blocked: frozenset[Place] = frozenset()


class Count(NamedTuple):
    """How many an audience has: recipients in all, of those blocked, the others by account."""

    total: int
    blocked: int
    by_account: dict[str, int]


def places_of(audience: Audience, accounts: Mapping[str, str]) -> frozenset[str]:
    """Return the slugs of those *accounts* (channel by slug) that the audience allows."""
    named = audience.channels or audience.accounts
    return frozenset(
        slug
        for slug, channel in accounts.items()
        if (not audience.accounts or slug in audience.accounts)
        and (not audience.channels or channel in audience.channels)
        and (named or channel not in BY_NAME_ONLY)
    )


def fits(contact: Contact, audience: Audience) -> bool:
    """Tell whether tags and language of *contact* are those of the audience."""
    tags = set(contact.tags)
    wanted = set(audience.tags)
    tagged = wanted <= tags if audience.match == "all" else not wanted or bool(wanted & tags)
    return tagged and not tags & set(audience.without) and _speaks(contact, audience.languages)


def reach(
    known: Known, audience: Audience, places: frozenset[str], now: datetime
) -> Reached | None:
    """Return where a contact of the audience is reached among *places*; None: it is none."""
    if not fits(known.contact, audience):
        return None
    sessions = _by_address(known, places)
    if not sessions or not _wrote(sessions.values(), audience.wrote_within_s, now):
        return None
    blocked = {one for one in sessions if _is_blocked(one, sessions[one], known.blocked)}
    address = max(sessions, key=lambda one: (one not in blocked, *_worth(one, sessions[one])))
    newest = max(sessions[address], key=_age, default=None)
    return Reached(known.contact, address, address in blocked, newest)


async def accounts_of(store: Store, workspace: str) -> dict[str, str]:
    """Return the channels of the accounts that are switched on, by slug."""
    found = await read_all(store, ACCOUNTS, workspace, "external")
    return {account.id: account.channel for account in found if account.enabled}


async def slice_of(
    store: Store,
    workspace: str,
    audience: Audience,
    after: str,
    now: datetime,
    *,
    limit: int = PAGE,
) -> Slice:
    """Return the reached among the next *limit* contacts behind the cursor *after* (empty: first).

    Raises:
        StoreUnavailableError: The store is away; the same can be asked again.
    """
    contacts, then = await _contacts(store, workspace, audience, after, limit)
    known = await _known(store, workspace, [one for one in contacts if fits(one, audience)])
    places = places_of(audience, await accounts_of(store, workspace))
    found = (reach(one, audience, places, now) for one in known)
    return Slice(tuple(one for one in found if one is not None), then)


async def count(store: Store, workspace: str, audience: Audience, now: datetime) -> Count:
    """Count the recipients that the audience would have now, by what gathers them.

    Raises:
        StoreUnavailableError: The store is away.
    """
    seen: set[str] = set()
    blocked = 0
    by_account: dict[str, int] = defaultdict(int)
    after = ""
    while True:
        found = await slice_of(store, workspace, audience, after, now)
        for one in found.reached:
            if one.contact.id in seen:
                continue
            seen.add(one.contact.id)
            blocked += one.blocked
            by_account[one.address.account] += not one.blocked
        after = found.cursor
        if not after:
            return Count(len(seen), blocked, {k: n for k, n in by_account.items() if n})


# --- one contact -------------------------------------------------------------------------------


def _speaks(contact: Contact, languages: Sequence[str]) -> bool:
    spoken = contact.language.lower().replace("_", "-")
    wanted = (language.lower().replace("_", "-") for language in languages)
    return not languages or any(spoken == one or spoken.startswith(f"{one}-") for one in wanted)


def _by_address(known: Known, places: frozenset[str]) -> dict[Address, list[Session]]:
    """Return the contact's sessions by address; none where there never was one."""
    became = {(one.account, one.visitor): one.became for one in known.identities if one.became}
    became |= {
        (one.account, old): one.visitor
        for one in known.identities
        for old in one.was
        if not one.became
    }
    found: dict[Address, list[Session]] = {}
    for identity in known.identities:
        if not identity.became and identity.account in places:
            found[Address(identity.account, identity.channel, identity.visitor)] = []
    for session in known.sessions:
        if session.account in places:
            visitor = became.get((session.account, session.visitor), session.visitor)
            address = Address(session.account, session.channel, visitor)
            found.setdefault(address, []).append(session)
    return found


def _wrote(sessions: Iterable[Sequence[Session]], within_s: int | None, now: datetime) -> bool:
    if within_s is None:
        return True
    since = now - timedelta(seconds=within_s)
    return any(
        one.last_inbound_at is not None and one.last_inbound_at >= since
        for some in sessions
        for one in some
    )


def _worth(address: Address, sessions: Sequence[Session]) -> tuple[datetime, Address]:
    spoken = [one.last_inbound_at or one.created_at for one in sessions]
    return (max(spoken, default=_NEVER), address)


def _is_blocked(address: Address, sessions: Sequence[Session], told: Collection[Place]) -> bool:
    """Tell what the open session says, else the newest; a new one takes over from before.

    Where there never was one, what was *told* counts.
    """
    if not sessions:
        return (address.account, address.visitor) in told
    return max(sessions, key=_age).blocked


def _age(session: Session) -> tuple[bool, datetime, str]:
    """Return what is highest of the session that counts now: see `visitor_sessions`."""
    return session.list != "ended", session.created_at, session.id


# --- reading -----------------------------------------------------------------------------------


async def _contacts(
    store: Store, workspace: str, audience: Audience, after: str, limit: int
) -> tuple[list[Contact], str]:
    """Return the next contacts, and the cursor behind them.

    Of tags of which any will do, one after the other is read; who has an earlier one was in its
    turn. Of tags that are all wanted one is read, the others are looked at.
    """
    turns = audience.tags[:1] if audience.match == "all" else audience.tags
    number, _, last = after.partition(":")
    turn = int(number or 0)
    order, where = ("tag", {"tags": turns[turn]}) if turns else ("id", {})
    behind = (*where.values(), last) if last else None
    page = Page(order=order, after=behind, limit=limit)
    found = await store.find(CONTACTS, workspace, where, page)
    earlier = set(turns[:turn])
    fresh = [contact for contact in found if not earlier & set(contact.tags)]
    if len(found) == limit:
        return fresh, f"{turn}:{found[-1].id}"
    return fresh, f"{turn + 1}:" if turn + 1 < len(turns) else ""


async def _known(store: Store, workspace: str, contacts: Sequence[Contact]) -> list[Known]:
    ids = tuple(contact.id for contact in contacts)
    if not ids:
        return []
    identities: dict[str, list[Identity]] = defaultdict(list)
    for identity in await _all(store, IDENTITIES, workspace, ids):
        identities[identity.contact].append(identity)
    sessions: dict[str, list[Session]] = defaultdict(list)
    for session in await _all(store, SESSIONS, workspace, ids):
        sessions[session.contact].append(session)
    told = await _strangers(store, workspace, identities, sessions)
    return [Known(one, identities[one.id], sessions[one.id], told) for one in contacts]


async def _strangers(
    store: Store,
    workspace: str,
    identities: Mapping[str, Sequence[Identity]],
    sessions: Mapping[str, Sequence[Session]],
) -> frozenset[Place]:
    """Return where somebody is blocked who never had a session; only of those who may be is read.

    An event has told of them, and is still waiting for their first message.
    """
    met = {(one.account, one.visitor) for found in sessions.values() for one in found}
    waiting = {
        (one.account, one.visitor) for found in identities.values() for one in found if one.strays
    }
    unmet = waiting - met
    return frozenset(await blocked_strangers(store, workspace, unmet)) if unmet else frozenset()


async def _all(
    store: Store, collection: Kept[D], workspace: str, contacts: tuple[str, ...]
) -> list[D]:
    """Return all that is of *contacts* (at most 500)."""
    found: list[D] = []
    after: Cursor | None = None
    while True:
        page = Page(order="contact", after=after, limit=_MOST_ROWS)
        rows = await store.find(collection, workspace, {"contact": In(contacts)}, page)
        found += rows
        if len(rows) < _MOST_ROWS:
            return found
        after = cursor(collection, "contact", rows[-1])

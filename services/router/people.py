"""One person behind several visitor ids: on two accounts of a page, or after a new number.

Both are told by an event, may come in any order and more than once, and race with what comes under
either id on another replica. So every write is guarded, and every step is made again by a repeat
until nothing is left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from libs.common.documents import CONTACTS, IDENTITIES, SESSIONS, Contact, Identity, Session
from libs.common.errors import StaleRevisionError
from libs.common.events import IdentityChanged
from libs.common.ids import derive_id
from libs.common.store.api import Page, Store, Where
from services.router.draft import Draft
from services.router.entry import Arrival
from services.router.links import Link, Person
from services.router.newcomer import newcomer_of
from services.router.older import older
from services.router.plan import Talk
from services.router.store import open_sessions

_PAGE = 1000
_HOPS = 8
"""New ids in a row that are followed."""


class Home(NamedTuple):
    """The id that a person has now, and their open session, under whichever of their ids."""

    visitor: str
    session: Session | None


async def identities(store: Store, workspace: str, talks: Collection[Talk]) -> dict[Talk, Identity]:
    """Return who is known of the conversations' visitors: one command."""
    ids = {identity_id(workspace, talk.account, talk.visitor): talk for talk in talks}
    found = await store.get_many(IDENTITIES, workspace, list(ids)) if ids else {}
    return {ids[id_]: identity for id_, identity in found.items()}


async def homes(store: Store, workspace: str, known: Mapping[Talk, Identity]) -> dict[Talk, Home]:
    """Return where those go on who have, or had, another id; nothing is asked for the others."""
    present: dict[Talk, str] = {}
    places: dict[Talk, list[Talk]] = {}
    for talk, identity in known.items():
        if not identity.became and not identity.was:
            continue
        now = await _present(store, workspace, identity)
        present[talk] = now.visitor
        ids = dict.fromkeys((now.visitor, *now.was, *identity.was))
        places[talk] = [Talk(talk.account, visitor) for visitor in ids]
    wanted = {place for found in places.values() for place in found}
    opened = await open_sessions(store, workspace, wanted) if wanted else {}
    return {
        talk: Home(present[talk], next((opened[p] for p in places[talk] if p in opened), None))
        for talk in places
    }


async def home_of(store: Store, session: Session) -> Home:
    """Return where the visitor of *session* goes on, under whichever of their ids."""
    talk = Talk(session.account, session.visitor)
    known = await identities(store, session.workspace, [talk])
    found = await homes(store, session.workspace, known)
    if talk in found:
        return found[talk]
    opened = await open_sessions(store, session.workspace, [talk])
    return Home(session.visitor, opened.get(talk))


async def next_of(store: Store, session: Session, home: Home) -> Session | None:
    """Return what the visitor, whose home is *home*, has besides *session*; None: nothing.

    That is their open session, or else one that began after it, though it has ended.
    """
    if home.session is not None:
        return home.session
    page = Page(order="visitor", descending=True, limit=1)
    for visitor in dict.fromkeys((session.visitor, home.visitor)):
        where: Where = {"account": session.account, "visitor": visitor}
        for newest in await store.find(SESSIONS, session.workspace, where, page):
            if newest.id != session.id and newest.created_at >= session.created_at:
                return newest
    return None


async def _present(store: Store, workspace: str, identity: Identity) -> Identity:
    """Return the identity that the person has now."""
    for _ in range(_HOPS):
        if not identity.became:
            break
        following = identity_id(workspace, identity.account, identity.became)
        found = await store.get(IDENTITIES, workspace, following)
        if found is None:
            break
        identity = found
    return identity


async def homes_of(
    store: Store, workspace: str, talks: Mapping[Talk, Sequence[Arrival]]
) -> dict[Talk, Home]:
    """Return where those go on who have or had another id, by what these events say too."""
    known = await identities(store, workspace, list(talks))
    told = {
        talk: identity
        for talk, arrivals in talks.items()
        if (identity := as_told(known.get(talk), arrivals)) is not None
    }
    return await homes(store, workspace, told)


def as_told(identity: Identity | None, arrivals: Sequence[Arrival]) -> Identity | None:
    """Return *identity* as it is after what the events say about ids; they are not stored yet."""
    for inbound in (arrival.inbound for arrival in arrivals):
        event = inbound.event
        if event.alias:
            identity = identity or newcomer_of(inbound).identity
            identity = msgspec.structs.replace(identity, was=_with(identity.was, event.alias))
        if not isinstance(event, IdentityChanged):
            continue
        identity = identity or newcomer_of(inbound).identity
        back = identity.became == event.previous
        if back and identity.became_at and identity.became_at >= event.occurred_at:
            continue
        became = "" if back else identity.became
        was = _with(identity.was, event.previous)
        identity = msgspec.structs.replace(identity, became=became, was=was)
    return identity


def names(talk: Talk, identity: Identity) -> list[Talk]:
    """Return the conversation under each id of the person, the present one first."""
    return [Talk(talk.account, visitor) for visitor in (talk.visitor, *reversed(identity.was))]


async def unite(store: Store, workspace: str, link: Link, held: Collection[str]) -> Union:
    """Make both persons of *link* one contact, the older one; note which id is the present one.

    Sessions of theirs that have another contact follow, apart from those *held* by the caller,
    who writes them itself.

    Raises:
        StaleRevisionError: Somebody changed one of the documents at the same time.
    """
    one, other = await _both(store, workspace, link)
    if link.alias and link.became_at is not None and _is_settled(one, other):
        return Union(await _reassigned(store, one, other, link.became_at), "", [])
    if link.became_at is not None:
        one, other = await _succeed(store, one, other, link.became_at)
    contact, former = await older(store, workspace, one.contact, other.contact)
    moving = {one.id: one, other.id: other}
    if former:
        page = Page(order="contact", limit=_PAGE)
        found = await store.find(IDENTITIES, workspace, {"contact": former}, page)
        moving |= {identity.id: identity for identity in found if identity.id not in moving}
    written: list[Session] = []
    for identity in moving.values():
        written += await _give(store, identity, contact, held, link.at)
    return Union(contact, former, written)


async def follow(store: Store, workspace: str, opened: Sequence[Session]) -> list[Session]:
    """Return the sessions just *opened*, with the contacts that their visitors have by now.

    Who is made one with another between the look at the identity and the opening of the session
    would leave it with the former contact: `unite` looks for sessions after it moved the identity,
    this looks at the identity after it opened the session, so one of them sees the other.
    """
    ids = {
        session.id: identity_id(workspace, session.account, session.visitor) for session in opened
    }
    found = await store.get_many(IDENTITIES, workspace, list(ids.values()))
    current: list[Session] = []
    for session in opened:
        identity = found.get(ids[session.id])
        if identity is not None:
            session = await _moved(store, session, identity.contact)  # noqa: PLW2901
        current.append(session)
    return current


async def name_sessions(store: Store, workspace: str, sessions: Sequence[Session]) -> None:
    """Name *sessions*, whose visitors are silent about it, as their contacts are: one command."""
    ids = sorted({session.contact for session in sessions})
    found = await store.get_many(CONTACTS, workspace, ids)
    for session in sessions:
        if session.contact in found:
            session.contact_name = found[session.contact].name


async def introduce(store: Store, session: Session) -> None:
    """Name a session that nobody's message opened, and keep whose it is where nobody knows them.

    Without an identity the visitor's first message would look for no earlier session.
    """
    await name_sessions(store, session.workspace, [session])
    names = (session.account, session.visitor)
    identity = Identity(
        id=identity_id(session.workspace, *names),
        workspace=session.workspace,
        account=session.account,
        channel=session.channel,
        visitor=session.visitor,
        contact=session.contact,
        first_seen_at=session.created_at,
    )
    await store.insert_many(IDENTITIES, [identity])


async def _moved(store: Store, session: Session, contact: str) -> Session:
    """Give the session to *contact*, whoever else changes it meanwhile."""
    while session.contact != contact:
        try:
            return await _give_session(store, session, contact, session.updated_at)
        except StaleRevisionError:
            session = await store.get(SESSIONS, session.workspace, session.id) or session
    return session


class Union(NamedTuple):
    """The contact that holds, the one it replaces (or empty), and the sessions that were moved."""

    contact: str
    former: str
    written: list[Session]


def identity_id(workspace: str, account: str, visitor: str) -> str:
    """Return the id of the visitor's identity."""
    return derive_id("idn", workspace, account, visitor)


async def _both(store: Store, workspace: str, link: Link) -> tuple[Identity, Identity]:
    """Return both identities; who is missing is made, with the contact of the other."""
    ids = [identity_id(workspace, p.account, p.visitor) for p in (link.one, link.other)]
    known = await store.get_many(IDENTITIES, workspace, ids)
    one, other = (known.get(id_) for id_ in ids)
    if other is None:
        other = await _made(store, workspace, link.other, one.contact if one else "", link.at)
    if one is None:
        one = await _made(store, workspace, link.one, other.contact, link.at)
    return one, other


async def _made(
    store: Store, workspace: str, person: Person, contact: str, at: datetime
) -> Identity:
    whose = (workspace, person.account, person.visitor)
    identity = Identity(
        id=identity_id(*whose),
        workspace=workspace,
        account=person.account,
        channel=person.channel,
        visitor=person.visitor,
        contact=contact or derive_id("con", *whose),
        first_seen_at=at,
    )
    if not contact:
        made = Contact(id=identity.contact, workspace=workspace, first_seen_at=at)
        await store.insert_many(CONTACTS, [made])
    refused = await store.insert_many(IDENTITIES, [identity])
    known = await store.get(IDENTITIES, workspace, identity.id) if refused else None
    return known or msgspec.structs.replace(identity, rev=1)


async def _succeed(
    store: Store, one: Identity, other: Identity, at: datetime
) -> tuple[Identity, Identity]:
    """Note that *other* became *one*, unless something newer is known of either."""
    if other.became_at is not None and other.became_at >= at:
        return one, other
    if one.became == other.visitor:
        if one.became_at is not None and one.became_at >= at:
            return one, other  # it was given back since
        one = await _changed(store, one, became="", was=_without(one.was, one.visitor))
    was = tuple(dict.fromkeys((*_without(other.was, one.visitor), other.visitor)))
    one = await _changed(store, one, was=tuple(dict.fromkeys((*one.was, *was))))
    other = await _changed(store, other, became=one.visitor, became_at=at)
    return one, other


def _is_settled(one: Identity, other: Identity) -> bool:
    """Tell whether the alias *other* is known to be of *one* already, or of somebody else."""
    if other.became != one.visitor:
        return bool(other.became)
    return other.visitor in one.was and one.contact == other.contact


async def _reassigned(store: Store, one: Identity, other: Identity, at: datetime) -> str:
    """Give the alias *other* to *one*, who has it since *at*; return the contact of *one*.

    A number that somebody else had makes nobody the same person.
    """
    newer = other.became_at is None or other.became_at < at
    if other.became != one.visitor and newer:
        one = await _changed(store, one, was=_with(one.was, other.visitor))
        await _changed(store, other, became=one.visitor, became_at=at, contact=one.contact)
    return one.contact


def _with(ids: Iterable[str], more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, more)))


def _without(ids: Iterable[str], gone: str) -> tuple[str, ...]:
    return tuple(found for found in ids if found != gone)


async def _changed(store: Store, identity: Identity, **fields: object) -> Identity:
    changed = msgspec.structs.replace(identity, **fields)
    return identity if changed == identity else await store.replace(IDENTITIES, changed)


async def _give(
    store: Store, identity: Identity, contact: str, held: Collection[str], at: datetime
) -> list[Session]:
    """Give the identity and its sessions to *contact*; return the sessions that changed.

    The identity is last, so that a repeat after a crash finds the sessions; and the sessions are
    looked at again, for one that was opened by what was known before.
    """
    written = await _give_sessions(store, identity, contact, held, at)
    if identity.contact != contact:
        await store.replace(IDENTITIES, msgspec.structs.replace(identity, contact=contact))
        written += await _give_sessions(store, identity, contact, held, at)
    return written


async def _give_sessions(
    store: Store, identity: Identity, contact: str, held: Collection[str], at: datetime
) -> list[Session]:
    page = Page(order="visitor", limit=_PAGE)
    where = {"account": identity.account, "visitor": identity.visitor}
    found = await store.find(SESSIONS, identity.workspace, where, page)
    changed = [s for s in found if s.contact != contact and s.id not in held]
    return list(await asyncio.gather(*(_give_session(store, s, contact, at) for s in changed)))


async def _give_session(store: Store, session: Session, contact: str, at: datetime) -> Session:
    draft = Draft(session)
    draft.session.contact = contact
    if not session.contact_name:
        await name_sessions(store, session.workspace, [draft.session])
    draft.tell("contact.changed", at, actor="system")
    return await store.replace(SESSIONS, draft.finish(at))

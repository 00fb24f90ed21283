"""Search over contacts and messages of one workspace, by words and by what a contact is known by.

Everything is found through indexes and in bounded steps; a search that has not come to its end
answers what it has with a place to go on from. Who asks passes the rows through their own scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from libs.common.contact_keys import email_key, phone_key
from libs.common.documents import CONTACTS, SESSIONS, Contact, Message
from libs.common.store.api import All, In, Page, Range, Store
from libs.common.words import TAIL, Asked, query_words, words_of
from services.desk.search_walk import (
    CONTACT_GROUND,
    MESSAGE_GROUND,
    Between,
    Filters,
    Lead,
    Place,
    Walked,
    Way,
    walk,
    way_of,
)

MOST_CONTACTS = 50
"""Contacts whose sessions are walked one by one; of more, messages are looked through."""
MOST_IDS = 500
"""Messages, and contacts, by which a list of sessions is narrowed: the newest."""
_MOST_SESSIONS = 50
_FEWEST = 7
"""Digits that two spellings of a number must share."""
_SAME = 200
_MOST_TAGS = 20
"""Tags that the store is asked for at once."""
_ROUNDS = 4
"""Walks of one look for contacts, where words stand apart."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a contact is known by; empty: whatever."""

    phone: str = ""
    email: str = ""
    tags: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether it says something."""
        return bool(self.phone or self.email or self.tags)

    def fits(self, contact: Contact) -> bool:
        """Tell whether the contact is known by all of this, and is one still."""
        return (
            contact.merged_into is None
            and (not self.email or contact.email_key == email_key(self.email))
            and (not self.phone or same_number(self.phone, contact.phone))
            and set(self.tags) <= set(contact.tags)
        )


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A search: words, and filters that compose by AND.

    Attributes:
        asked: Words; nothing asked: whatever is said.
        accounts: Slugs, where only these.
        since, until: From when, and before when: messages by their time, contacts by when they
            were first seen.
    """

    asked: Asked = Asked()
    known: Known = Known()
    accounts: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def when(self) -> Between:
        """The time that is meant."""
        return Between(self.since, self.until)


def same_number(one: str, other: str) -> bool:
    """Tell whether two spellings may be of one number: with the country's code, or without."""
    first, second = (phone_key(number) or "" for number in (one, other))
    if not first or not second:
        return False
    short, long = sorted((first.lstrip("0"), second.lstrip("0")), key=len)
    return bool(short) and (short == long or (len(short) >= _FEWEST and long.endswith(short)))


async def contacts_found(
    store: Store, workspace: str, sought: Sought, *, after: Place | None, limit: int
) -> Walked[Contact]:
    """Return contacts, who was seen first last first."""
    if sought.known.email:
        rows = await _with_address(store, workspace, sought)
        behind = [row for row in rows if after is None or CONTACT_GROUND.place(row) < after]
        last = CONTACT_GROUND.place(behind[limit - 1]) if len(behind) > limit else None
        found = Walked(behind[:limit], last)
    else:
        way = await _way_to_contacts(store, workspace, sought)
        way = way._replace(when=sought.when)
        found = await walk(store, workspace, CONTACT_GROUND, way, after=after, limit=limit)
    fitting = [c for c in found.rows if sought.known.fits(c) and _meant(sought.asked, c.words)]
    return Walked(fitting, found.next)


async def messages_found(
    store: Store, workspace: str, sought: Sought, *, after: Place | None, limit: int
) -> Walked[Message]:
    """Return entries whose words match, newest first; what changed them is not looked at."""
    way = await _way_to_messages(store, workspace, sought)
    way = way._replace(when=sought.when)
    return await walk(store, workspace, MESSAGE_GROUND, way, after=after, limit=limit)


async def contacts_matching(
    store: Store, workspace: str, text: str, *, most: int = MOST_IDS
) -> tuple[tuple[str, ...], bool]:
    """Return the ids of contacts that *text* finds, ascending, and whether more may be found."""
    sought = Sought(asked=query_words(text))
    if sought.asked.empty:
        return (), False
    found: dict[str, None] = {}
    after: Place | None = None
    for _ in range(_ROUNDS):
        rows, after = await contacts_found(store, workspace, sought, after=after, limit=most)
        found |= dict.fromkeys(row.id for row in rows)
        if after is None or len(found) >= most:
            break
    return tuple(sorted(list(found)[:most])), after is not None or len(found) > most


# --- inside ------------------------------------------------------------------------------------


def _meant(asked: Asked, words: Sequence[str]) -> bool:
    return asked.empty or asked.found_in(words)


async def _way_to_contacts(store: Store, workspace: str, sought: Sought) -> Way:
    """Return how to find the contacts: by what few have first."""
    rest: Filters = _filter(sought.asked)
    known = sought.known
    if known.phone:
        words = words_of([known.phone])
        tail = next((word for word in words if word.startswith(TAIL)), "".join(words[:1]))
        return Way((Lead("words", {"words": tail}, (tail,)),) if tail else (), rest)
    few = known.tags[:_MOST_TAGS]  # the others are looked at in what is found
    tags: Filters = {"tags": All(few[1:])} if few[1:] else {}
    if not sought.asked.empty:
        way = await way_of(store, workspace, CONTACT_GROUND, sought.asked)
        return Way(way.leads, {**way.where, **({"tags": All(few)} if few else {})})
    if known.tags:
        return Way((Lead("tagged", {"tags": known.tags[0]}, (known.tags[0],)),), tags)
    return Way((Lead("seen"),))


async def _with_address(store: Store, workspace: str, sought: Sought) -> list[Contact]:
    """Return the contacts with one address: few enough to be put in order here."""
    where: Filters = {"email_key": email_key(sought.known.email) or ""}
    found = await store.find(CONTACTS, workspace, where, Page(order="email", limit=_SAME))
    since, until = sought.when
    fitting = [
        row
        for row in found
        if (since is None or row.first_seen_at >= since)
        and (until is None or row.first_seen_at < until)
    ]
    return sorted(fitting, key=CONTACT_GROUND.place, reverse=True)


async def _way_to_messages(store: Store, workspace: str, sought: Sought) -> Way:
    rest: Filters = {}
    if sought.accounts is not None:
        rest = {"account": In(sought.accounts)}
    if sought.known.anything:
        sessions = await _sessions_of(store, workspace, sought.known)
        if sessions is not None:
            said: Filters = _filter(sought.asked) or {"words": Range()}
            leads = tuple(Lead("timeline", {"timeline": one}, (one,)) for one in sessions)
            return Way(leads, {**rest, **said})
    if sought.asked.empty:
        return Way((Lead("at"),), {**rest, "words": Range()})
    way = await way_of(store, workspace, MESSAGE_GROUND, sought.asked)
    return Way(way.leads, {**way.where, **rest})


async def _sessions_of(store: Store, workspace: str, known: Known) -> tuple[str, ...] | None:
    """Return the sessions of the contacts who are known by that; None: they are too many."""
    found = await contacts_found(
        store, workspace, Sought(known=known), after=None, limit=MOST_CONTACTS
    )
    if found.next is not None:
        return None
    if not found.rows:
        return ()
    where: Filters = {"contact": In(tuple(row.id for row in found.rows))}
    page = Page(order="contact", limit=_MOST_SESSIONS + 1)
    sessions = await store.find(SESSIONS, workspace, where, page)
    if len(sessions) > _MOST_SESSIONS:
        return None
    return tuple(session.id for session in sessions)


def _filter(asked: Asked) -> Filters:
    """Return what the words of a row must be, whatever it is found by."""
    if asked.either:
        return {"words": All(asked.either)}
    if asked.empty:
        return {}
    return {"words": All(asked.words, asked.begins)}

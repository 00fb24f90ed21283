"""What is known of a person: the newest told holds, field by field, and silence erases nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from libs.common.contact_keys import keyed
from libs.common.documents import CONTACTS, Contact, Moment, Session
from libs.common.merged import present
from libs.common.store.api import Store

FACTS = ("name", "phone", "email", "language")
"""What a contact holds; the session remembers each as `contact_<fact>`, see `fold`."""
ROUNDS = 8


class Heard(NamedTuple):
    """What was told, and its place in display order."""

    value: str
    at: Moment


News: TypeAlias = Mapping[str, Heard]
"""What is new of a person, by fact."""


def news_of(before: Session, after: Session) -> dict[str, Heard]:
    """Return what *after* knows of the visitor that *before* did not."""
    return {
        fact: Heard(value, after.newest[name])
        for fact in FACTS
        if (value := getattr(after, name := f"contact_{fact}")) != getattr(before, name)
    }


def told(contact: Contact, news: News) -> Contact:
    """Return *contact* after *news*; the same one when it knew, or knows something newer.

    What an agent set stays theirs.
    """
    changed: dict[str, str] = {}
    newest = dict(contact.newest)
    for fact, heard in news.items():
        known = newest.get(fact)
        kept = (known is not None and _place(known) > _place(heard.at)) or _is_set(contact, fact)
        if kept or getattr(contact, fact) == heard.value:
            continue
        changed[fact] = heard.value
        newest[fact] = heard.at
    if not changed:
        return contact
    return keyed(msgspec.structs.replace(contact, newest=newest, **changed))


async def tell(store: Store, workspace: str, news: Mapping[str, News]) -> set[str]:
    """Store *news* of contacts, by id; return those that lost too many races.

    One command where nothing is new, two where something is. Who was merged into another is told
    of as that one.
    """
    waiting, news = set(news), dict(news)
    for _ in range(ROUNDS):
        if not waiting:
            break
        found = await store.get_many(CONTACTS, workspace, sorted(waiting))
        changed = [
            after
            for contact in found.values()
            if contact.merged_into is None
            and (after := told(contact, news[contact.id])) is not contact
        ]
        moved = [contact for contact in found.values() if contact.merged_into is not None]
        waiting = set(await store.replace_many(CONTACTS, changed)) if changed else set()
        for former in moved:
            now = await present(store, former)
            if now.merged_into is None:
                news[now.id] = _newer(news.get(now.id, {}), news[former.id])
                waiting.add(now.id)
    return waiting


def _newer(one: News, other: News) -> News:
    """Return what both tell; of the same fact what is newer."""
    both = dict(one)
    for fact, heard in other.items():
        if fact not in both or _place(both[fact].at) < _place(heard.at):
            both[fact] = heard
    return both


def _is_set(contact: Contact, fact: str) -> bool:
    """Tell whether an agent set *fact*."""
    return bool(contact.email_by if fact == "email" else contact.set_by.get(fact))


def _place(moment: Moment) -> tuple[object, int]:
    return (moment.at, moment.sequence)

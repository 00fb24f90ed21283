"""What a merge gives to a contact and takes back, and how it marks both. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.contact_documents import ContactMerge, Given
from libs.common.documents import Contact

FACTS = ("name", "phone", "email", "language", "gender", "birthday", "zone")
GIVEN = ":given"
"""Behind the record's id in `merging`: the target has what the source gives."""
UNDO = ":undo"
"""Behind the record's id in `merging`: it is being undone."""


def given(source: Contact, target: Contact) -> Given:
    """Return what *target* lacks and *source* has; what both have stays the target's."""
    facts = {
        name: value
        for name in FACTS
        if (value := getattr(source, name)) and not getattr(target, name)
    }
    by = {name: who for name, who in _set_by(source).items() if name in facts}
    return Given(
        facts=facts,
        by=by,
        tags=tuple(tag for tag in source.tags if tag not in target.tags),
        fields={k: v for k, v in source.fields.items() if k not in target.fields},
    )


def filled_with(target: Contact, what: Given) -> Contact:
    """Return *target* with *what* it still lacks of it."""
    facts: dict[str, Any] = {k: v for k, v in what.facts.items() if not getattr(target, k)}
    by = {name: who for name, who in what.by.items() if name in facts}
    if "email" in by:
        facts["email_by"] = by.pop("email")
    return msgspec.structs.replace(
        target,
        **facts,
        set_by={**by, **target.set_by},
        tags=tuple(dict.fromkeys((*target.tags, *what.tags))),
        fields={**what.fields, **target.fields},
    )


def without(what: Given) -> Callable[[Contact], Contact]:
    """Return what takes *what* from a contact, as far as it was not changed since."""

    def strip(contact: Contact) -> Contact:
        gone = [name for name, value in what.facts.items() if getattr(contact, name) == value]
        changed: dict[str, Any] = dict.fromkeys(gone, "")
        if "email" in gone:
            changed["email_by"] = ""
        return msgspec.structs.replace(
            contact,
            **changed,
            set_by={k: v for k, v in contact.set_by.items() if k not in gone},
            newest={k: v for k, v in contact.newest.items() if k not in gone},
            tags=tuple(tag for tag in contact.tags if tag not in what.tags),
            fields={k: v for k, v in contact.fields.items() if what.fields.get(k) != v},
        )

    return strip


def both(one: Given, other: Given) -> Given:
    """Return what is in both."""
    return Given(
        facts={k: v for k, v in one.facts.items() if other.facts.get(k) == v},
        tags=tuple(tag for tag in one.tags if tag in other.tags),
        fields={k: v for k, v in one.fields.items() if other.fields.get(k) == v},
    )


def _set_by(contact: Contact) -> dict[str, str]:
    by_email = {"email": contact.email_by} if contact.email_by else {}
    return {**contact.set_by, **by_email}


def marked(record: ContactMerge) -> Callable[[Contact], Contact]:
    """Return what makes the source part of the target, unless a channel said another meanwhile."""

    def mark(source: Contact) -> Contact:
        if source.merging != record.id or source.merged_into is not None:
            return source
        return msgspec.structs.replace(source, merged_into=record.target)

    return mark


def untagged(record: ContactMerge) -> Callable[[Contact], Contact]:
    def untag(source: Contact) -> Contact:
        held = source.merging == record.id
        return msgspec.structs.replace(source, tags=()) if held else source

    return untag


def restored(record: ContactMerge) -> Callable[[Contact], Contact]:
    def restore(source: Contact) -> Contact:
        if source.merging != record.id + UNDO or source.merged_into is None:
            return source
        return msgspec.structs.replace(source, merged_into=None, tags=record.source_tags)

    return restore


def held_by(contact: Contact) -> str:
    """Return the id of the record that the contact takes part in; empty: none."""
    return contact.merging.partition(":")[0]


def filling(record: ContactMerge) -> Callable[[Contact], Contact]:
    """Return what gives the target what it lacks, once."""

    def fill(target: Contact) -> Contact:
        if target.merging != record.id:
            return target
        filled = filled_with(target, record.given)
        return msgspec.structs.replace(filled, merging=record.id + GIVEN)

    return fill


def releasing(held: frozenset[str]) -> Callable[[Contact], Contact]:
    """Return what lets go of a contact that is held by one of these marks."""

    def release(contact: Contact) -> Contact:
        free = contact.merging not in held
        return contact if free else msgspec.structs.replace(contact, merging="")

    return release

"""The documents beside contacts: definitions of their fields, notes, and records of merges.

Desk alone writes them, each write guarded by `rev`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.store.api import Collection, Document, Index

FieldType = Literal["text", "number", "boolean", "date", "choice", "url"]
MergeState = Literal["begun", "planned", "merged", "unmerging", "undone", "refused"]


class ContactField(Document, kw_only=True):
    """One of the workspace's own facts of contacts.

    Attributes:
        name: By which contacts keep the value, and messages name it; it never changes.
        label: What people read; empty: the name.
        choices: The allowed values of a `choice`.
        order: Fields are shown from the lowest on, then by name.
        digest: Hash of the request that made it, to tell a repeat from another one.
    """

    name: str
    label: str = ""
    type: FieldType = "text"
    choices: tuple[str, ...] = ()
    order: int = 0
    digest: str = ""


class NoteBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What a note said until *by* (an agent's id and name) changed it at *at*."""

    by: str
    by_name: str = ""
    at: datetime
    text: str


class ContactNote(Document, kw_only=True):
    """A note about a contact, for agents only.

    `contact` is whom it was written of, and stays so when they are merged into another; `history`
    has what it said before each change, oldest first.
    """

    contact: str
    author: str
    author_name: str = ""
    text: str
    at: datetime
    edited_at: datetime | None = None
    history: tuple[NoteBefore, ...] = ()
    digest: str = ""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a contact got from one that was merged into it, as it had none of its own.

    `facts` are fixed facts by field name, `by` the agents who had set some of them.
    """

    facts: dict[str, str] = {}
    by: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = {}


class ContactMerge(Document, kw_only=True):
    """That `source` was merged into `target`: what it takes to do so, and to undo it.

    Attributes:
        state: `begun`: nobody was changed yet; `planned`: `given`, `source_tags` say what will be;
            `merged`; `unmerging`; `undone`; `refused`: one of both was merged meanwhile.
        by: The agent's id.
        source_tags: Tags that the source had.
        identities: Ids of the identities that were moved.
    """

    source: str
    target: str
    state: MergeState = "begun"
    by: str
    at: datetime
    given: Given = Given()
    source_tags: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    undone_by: str = ""
    undone_at: datetime | None = None


CONTACT_FIELDS = Collection(
    "contact_fields", ContactField, (Index("name", ("name",), unique=True),)
)
CONTACT_NOTES = Collection(
    "contact_notes", ContactNote, (Index("contact", ("contact", "at", "id")),)
)
CONTACT_MERGES = Collection(
    "contact_merges", ContactMerge, (Index("source", ("source", "at", "id")),)
)

BESIDE_CONTACTS = (CONTACT_FIELDS, CONTACT_NOTES, CONTACT_MERGES)

"""What an erasure has found of a person, kept until nothing of it is left.

Whatever leads to a person is deleted by the erasure itself. So it is written down first, and who
resumes after a crash still knows what to look for; these documents go last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.ids import derive_id
from libs.common.store.api import Collection, Document, Index

CHUNK = 1_000


class Erasure(Document, kw_only=True):
    """A contact (the id is derived from theirs) that is being erased.

    Attributes:
        before: What came until then is theirs; what comes later is a new contact's.
        contacts: Ids of the contact and of those that were merged into it.
        places: Accounts and their visitor ids there.
        emails: Addresses, as written.
    """

    contact: str
    before: datetime
    contacts: tuple[str, ...] = ()
    places: tuple[tuple[str, str], ...] = ()
    emails: tuple[str, ...] = ()


class ErasedIds(Document, kw_only=True):
    """Some ids of what was said with the person: sessions, messages, webhooks, files.

    `recent` are the keys of their last events, see `libs.common.erased.Tombstone`.
    """

    erasure: str
    ids: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    recent: tuple[tuple[str, str, str], ...] = ()


ERASURES = Collection("erasures", Erasure, ())
ERASED_IDS = Collection("erased_ids", ErasedIds, (Index("erasure", ("erasure", "id")),))
ERASING = (ERASURES, ERASED_IDS)


class Found(msgspec.Struct):
    """All that is known of one erasure, in memory."""

    erasure: Erasure
    ids: set[str] = msgspec.field(default_factory=set)
    sessions: set[str] = msgspec.field(default_factory=set)
    recent: set[tuple[str, str, str]] = msgspec.field(default_factory=set)

    def add(self, chunk: ErasedIds) -> None:
        """Take in what was written down."""
        self.ids.update(chunk.ids, chunk.sessions)
        self.sessions.update(chunk.sessions)
        self.recent.update(chunk.recent)


def erasure_id(workspace: str, contact: str) -> str:
    """Return the id of a contact's erasure: one for all who ask for it."""
    return derive_id("era", workspace, contact)


def chunk_of(
    erasure: Erasure,
    ids: Iterable[str] = (),
    sessions: Iterable[str] = (),
    recent: Iterable[tuple[str, str, str]] = (),
) -> ErasedIds:
    """Return ids to be written down; the same ones have the same document."""
    named, known, keys = sorted(ids), sorted(sessions), sorted(recent)
    flat = [*named, "", *known, "", *("|".join(key) for key in keys)]
    return ErasedIds(
        id=derive_id("eri", erasure.id, *flat),
        workspace=erasure.workspace,
        erasure=erasure.id,
        ids=tuple(named),
        sessions=tuple(known),
        recent=tuple(keys),
    )

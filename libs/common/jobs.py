"""Work that takes longer than a request: imports and exports, with their progress.

Desk keeps a job before it answers, and whichever replica is free runs it under a lease; one whose
process dies is taken up by another, and every step of a job is safe to do again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.store.api import Collection, Document, Index

JobKind = Literal["contacts.import", "contacts.export", "standard_messages.import", "contact.erase"]
JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows so far; `total` is None until it is known."""

    total: int | None = None
    done: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0


class Job(Document, kw_only=True):
    """A job of one agent.

    Attributes:
        input: The order, as JSON; its shape is the kind's.
        source, result, errors: Ids of files in the file store: what was given, what was made, and
            the rows that were refused with the reasons; empty: none.
        source_name: The name of the file that was given.
        cursor: How far it came, in the kind's own words; it goes on behind it.
        reason: Why it failed, for a person.
        lease_until: Whoever runs it holds it until then; None while it waits or is over.
        waiting_since: Since when it waits for somebody to run it, or runs; None: it is over.
        expires_at: Its files and it are deleted then.
        digest: Hash of the request that made it, to tell a repeat from another one.
    """

    kind: JobKind
    agent: str
    state: JobState = "waiting"
    input: str = ""
    source: str = ""
    source_name: str = ""
    result: str = ""
    errors: str = ""
    counts: Counts = Counts()
    cursor: str = ""
    reason: str = ""
    dry_run: bool = False
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    waiting_since: datetime | None = None
    expires_at: datetime
    digest: str = ""


JOBS = Collection(
    "jobs",
    Job,
    (
        Index("created", ("created_at", "id")),
        Index("agent", ("agent", "created_at", "id")),
        Index("open", ("waiting_since", "id")),
        Index("expires", ("expires_at", "id")),
    ),
)
JOBS_OF = (JOBS,)

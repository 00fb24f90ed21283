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
        source, result: Ids of files in the file store: what was given, and what was made; empty:
            none. `source_name`, `result_name`: as they are called.
        errors: `rows` where some were refused, see `RefusedRows`; empty: none were.
        columns: The first row of what was given: what the cells of refused rows are called.
        cursor: How far it came, in the kind's own words; it goes on behind it.
        reason: Why it failed, for a person.
        lease_until: `holder` runs it until then; None while it waits or is over.
        attempts: How often it was taken up since it last came further.
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
    result_name: str = ""
    errors: str = ""
    counts: Counts = Counts()
    cursor: str = ""
    columns: tuple[str, ...] = ()
    holder: str = ""
    attempts: int = 0
    reason: str = ""
    dry_run: bool = False
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    waiting_since: datetime | None = None
    expires_at: datetime
    digest: str = ""


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not taken: its number in the file, the column, why, and its cells."""

    number: int
    field: str
    reason: str
    cells: tuple[str, ...] = ()


class RefusedRows(Document, kw_only=True):
    """Some of the rows that a job refused; `place` is the number of the first of them.

    The id is derived of job and place, so that a step that is done again leaves them once.
    """

    job: str
    place: int
    rows: tuple[RefusedRow, ...]


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
REFUSED_ROWS = Collection("refused_rows", RefusedRows, (Index("job", ("job", "place", "id")),))
JOBS_OF = (JOBS, REFUSED_ROWS)

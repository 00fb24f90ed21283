"""Jobs as people see them: how far they came, what they made, and which rows they refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.errors import NotFoundError
from libs.common.jobs import JOBS, REFUSED_ROWS, Counts, Job, JobKind, JobState
from libs.common.store.api import Page, Where
from libs.common.workbook import write_csv, write_xlsx
from services.desk import metrics
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.pouring import poured
from services.desk.api.problem import RefusalError
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.audited import REPLAYED, retried
from services.desk.jobs import FINAL, Started, audited, job_facts

Format = Annotated[Literal["csv", "xlsx"], Meta(description="csv, or xlsx")]
_PAGE = 20


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first; `mine`: of those who see all, only the caller's own."""

    mine: bool = False
    cursor: Cursor = ""
    limit: Limit = 50


class ErrorQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How the refused rows are told."""

    format: Format = "csv"


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job.

    Attributes:
        agent: Whose it is.
        dry_run: It only tells what it would do.
        counts: Rows so far.
        reason: Why it failed.
        result: The name of what it made, at `GET /jobs/{id}/result`; empty: nothing yet.
        errors: Whether rows were refused; they are at `GET /jobs/{id}/errors`.
        expires_at: It is deleted then, with its files.
    """

    id: str
    kind: JobKind
    state: JobState
    agent: str
    source_name: str
    dry_run: bool
    counts: Counts
    reason: str
    result: str
    errors: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    items: tuple[JobView, ...]
    next: str | None


async def jobs(call: Call) -> Reply:
    """List the caller's jobs; leads and above who see the whole workspace see everybody's."""
    query: JobQuery = call.query
    own = query.mine or not _sees_all(call)
    where: Where = {"agent": call.who.agent} if own else {}
    after = time_cursor(query.cursor)
    page = Page(
        order="agent" if own else "created",
        descending=True,
        after=((call.who.agent, *after) if own else after) if after else None,
        limit=query.limit + 1,
    )
    found = await call.desk.store.port.find(JOBS, call.who.workspace, where, page)
    rows = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=JobList(
            items=tuple(map(view, rows)),
            next=write_cursor(rows[-1].created_at, rows[-1].id) if more else None,
        )
    )


async def job(call: Call) -> Reply:
    """Show a job.

    Raises:
        NotFoundError: None that the caller sees.
    """
    return Reply(body=view(await _job(call)))


async def cancel(call: Call) -> Reply:
    """Stop a job; what it has done stays done. One that is over stays as it is.

    Raises:
        NotFoundError: None that the caller sees.
        RefusalError: 409, it is over already, erases a contact, or moves all the time.
    """

    async def step(before: Job) -> Job:
        if before.state == "cancelled":
            return before
        if before.kind == "contact.erase":
            text = "An erasure cannot be stopped: half of a person may be gone already."
            raise RefusalError(409, "not_stoppable", text, state=before.state)
        if before.state in FINAL:
            raise RefusalError(409, "job_over", "The job is over.", state=before.state)
        ended = {"state": "cancelled", "finished_at": call.desk.now()}
        free = {"waiting_since": None, "lease_until": None}
        after = await call.desk.store.port.replace(
            JOBS, msgspec.structs.replace(before, **ended, **free)
        )
        by = msgspec.structs.replace(after, agent=call.who.agent)
        await audited(call.desk, by, "job.cancelled", f"job:{after.id}", after=job_facts(after))
        metrics.JOBS_FINISHED.labels(after.kind, "cancelled").inc()
        return after

    return Reply(body=view(await retried(call, lambda: _job(call), step)))


async def result(call: Call) -> Reply:
    """Give what the job made, as a file.

    Raises:
        NotFoundError: None that the caller sees, or it made nothing (yet).
    """
    found = await _job(call)
    if not found.result:
        raise NotFoundError("The job has no result.")
    chunks = call.desk.attachments.files.read(found.workspace, found.result)
    return poured(call, chunks, found.result_name or "result")


async def errors(call: Call) -> Reply:
    """Give the refused rows as they were, with number, column and reason, as a file.

    Raises:
        NotFoundError: None that the caller sees.
    """
    found = await _job(call)
    query: ErrorQuery = call.query
    rows = _error_rows(call, found)
    chunks = write_csv(rows) if query.format == "csv" else write_xlsx(rows)
    return poured(call, chunks, f"errors.{query.format}")


def begun(started: Started) -> Reply:
    """Answer that a job is begun, now or by an earlier request with the same key."""
    headers = {"Location": f"/api/v1/jobs/{started.job.id}"}
    if started.replayed:
        headers |= REPLAYED
    return Reply(body=view(started.job), status=202, headers=headers)


def view(found: Job) -> JobView:
    """Return what people are shown of a job."""
    return JobView(
        id=found.id,
        kind=found.kind,
        state=found.state,
        agent=found.agent,
        source_name=found.source_name,
        dry_run=found.dry_run,
        counts=found.counts,
        reason=found.reason,
        result=found.result_name if found.result else "",
        errors=bool(found.errors),
        created_at=found.created_at,
        started_at=found.started_at,
        finished_at=found.finished_at,
        expires_at=found.expires_at,
    )


def _sees_all(call: Call) -> bool:
    """Tell whether others' jobs are shown: their files may hold what a limited lead never sees."""
    return RANK[call.who.role] >= RANK["lead"] and call.who.scope.whole


async def _job(call: Call) -> Job:
    found = await call.desk.store.port.get(JOBS, call.who.workspace, call.params["id"])
    if found is None or not (found.agent == call.who.agent or _sees_all(call)):
        raise NotFoundError("There is no such job.")
    return found


async def _error_rows(call: Call, found: Job) -> AsyncIterator[tuple[str, ...]]:
    """Yield the head, and each refused row behind its number, column and reason."""
    yield ("row", "column", "reason", *found.columns)
    page = Page(order="job", limit=_PAGE)
    store = call.desk.store.port
    while True:
        pages = await store.find(REFUSED_ROWS, found.workspace, {"job": found.id}, page)
        for one in pages:
            for row in one.rows:
                yield (str(row.number), row.field, row.reason, *row.cells)
        if len(pages) < _PAGE:
            return
        last = pages[-1]
        page = msgspec.structs.replace(page, after=(found.id, last.place, last.id))

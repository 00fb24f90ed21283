"""Work that takes longer than a request: begun here, done by `jobs_run`, shown by `api.jobs`.

A runner is a function of `Work`. It does its work in steps that are safe to repeat, and says after
each how far it came (`Work.report`); after a crash it is called again, with that in `Work.job`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from libs.common import workbook
from libs.common.documents import AUDIT, Agent, AuditEntry, Role
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.jobs import (
    JOBS,
    REFUSED_ROWS,
    Counts,
    Job,
    JobKind,
    RefusedRow,
    RefusedRows,
)
from libs.common.store.api import Range
from services.desk import metrics
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Desk
from services.desk.audited import key_conflict, new_id
from services.desk.scope import Scope, scope_of

T = TypeVar("T")

LIFE = timedelta(days=7)
"""A job, with its files, is deleted so long after it was begun, or has ended."""
LEASE = timedelta(seconds=20)
MOST_OPEN = 20
"""Jobs of a workspace that wait or run."""
FINAL = frozenset({"done", "failed", "cancelled"})
PERSONAL = frozenset({"email", "phone", "ref", "q"})
"""What of an order tells of a person."""
_TRIES = 3
_PAGE_CHARS = 1_000_000
_CELL_SHOWN = 2_000
"""Characters of a refused row's cell that are kept."""


class JobStoppedError(Exception):
    """The job is cancelled, or somebody else runs it: stop, and write nothing more."""


class Started(NamedTuple):
    """A job, and whether an earlier request with the same key began it."""

    job: Job
    replayed: bool


async def start(call: Call, kind: JobKind, order: Any, **more: Any) -> Job:
    """Keep a job as `begin` does.

    Raises:
        RefusalError: 429 `too_many` jobs wait; 409, the key made another one.
    """
    return (await begin(call, kind, order, **more)).job


async def begin(  # noqa: PLR0913 (what a job is made of)
    call: Call,
    kind: JobKind,
    order: Any,
    *,
    source: Path | None = None,
    source_name: str = "",
    dry_run: bool = False,
    digest: str = "",
) -> Started:
    """Keep a job that some replica runs soon; the same one for a repeated `Idempotency-Key`.

    Args:
        call: The request; its agent is whose job it is.
        kind: What is to be done.
        order: A struct of what the runner has to know.
        source: The file that is worked on; it is stored.
        source_name: How the agent calls it.
        dry_run: Nothing is to be changed.
        digest: Hash of the request, see `audited.digest_of`.

    Raises:
        RefusalError: 429 `too_many` jobs wait; 409, the key made another one.
    """
    job = await _drafted(call, kind, order, source_name, dry_run, digest)
    if job.waiting_since is not None or job.state != "waiting":
        return Started(job, replayed=True)
    port, now = call.desk.store.port, call.desk.now()
    if source is not None:
        job.source = derive_id("fil", job.id, "source")
        await call.desk.attachments.files.put(job.workspace, job.source, workbook.pieces_of(source))
    job.waiting_since = now
    try:
        job = await port.replace(JOBS, job)
    except StaleRevisionError:  # the request was repeated while the file was stored
        return Started(await port.get(JOBS, job.workspace, job.id) or job, replayed=True)
    await audited(call.desk, job, "job.start", f"job:{job.id}", after=job_facts(job))
    metrics.JOBS_STARTED.labels(kind).inc()
    call.desk.stirred.set()
    return Started(job, replayed=False)


async def _drafted(
    call: Call, kind: JobKind, order: Any, source_name: str, dry_run: bool, digest: str
) -> Job:
    """Return the job as it stands, new ones kept before their file so that a sweep finds it."""
    port, workspace, now = call.desk.store.port, call.who.workspace, call.desk.now()
    job_id = new_id(call, "job")
    known = await port.get(JOBS, workspace, job_id)
    if known is None:
        await _check_room(call)
        draft = Job(
            id=job_id,
            workspace=workspace,
            kind=kind,
            agent=call.who.agent,
            input=msgspec.json.encode(order).decode(),
            source_name=source_name,
            dry_run=dry_run,
            created_at=now,
            expires_at=now + LIFE,
            digest=digest,
        )
        try:
            return await port.insert(JOBS, draft)
        except UniqueConflictError:
            known = await port.get(JOBS, workspace, job_id) or draft
    if known.digest != digest:
        key_conflict()
    return known


async def _check_room(call: Call) -> None:
    port, workspace = call.desk.store.port, call.who.workspace
    waiting = await port.count(JOBS, workspace, {"waiting_since": Range()}, limit=MOST_OPEN)
    if waiting >= MOST_OPEN:
        raise RefusalError(
            429,
            "too_many",
            f"{MOST_OPEN} jobs of this workspace wait or run; try again when one is over.",
            headers={"Retry-After": "60"},
            allowed=str(MOST_OPEN),
        )


def job_facts(job: Job) -> dict[str, Any]:
    """Return what the record of changes says of a job."""
    return {
        "kind": job.kind,
        "state": job.state,
        "source_name": job.source_name,
        "dry_run": job.dry_run,
        "input": _ordered(job),
        "counts": msgspec.to_builtins(job.counts),
    }


def _ordered(job: Job) -> Any:
    """Return the order without the addresses and numbers of persons that it may look for."""
    order: Any = msgspec.json.decode(job.input) if job.input else None
    wanted = order.get("wanted") if isinstance(order, dict) else None
    if isinstance(wanted, dict):
        order["wanted"] = {name: wanted[name] for name in wanted if name not in PERSONAL}
    return order


async def audited(
    desk: Desk, job: Job, action: str, about: str, before: Any = None, after: Any = None
) -> None:
    """Record a change that *job* made, as one of its agent's."""
    shown = ["" if one is None else msgspec.json.encode(one).decode() for one in (before, after)]
    record = AuditEntry(
        id=derive_id("aud", job.workspace, uuid.uuid4().hex),
        workspace=job.workspace,
        at=desk.now(),
        actor=f"agent:{job.agent}",
        action=action,
        object=about,
        before=shown[0],
        after=shown[1],
    )
    await desk.store.port.insert(AUDIT, record)


class Work:
    """A job that is being run here.

    Attributes:
        desk: What there is to work with.
        agent: Whose job it is, as they are now; `scope`: what they see.
        job: As it is stored; it is never changed but by `report` and `made`.
    """

    def __init__(self, desk: Desk, agent: Agent, job: Job) -> None:
        self.desk = desk
        self.agent = agent
        self.job = job
        self._writing = asyncio.Lock()

    @property
    def workspace(self) -> str:
        """Whose it is."""
        return self.job.workspace

    @property
    def scope(self) -> Scope:
        """What the agent sees."""
        return scope_of(self.agent)

    def order(self, kind: type[T]) -> T:
        """Return what is to be done, as it was given to `start`."""
        return msgspec.json.decode(self.job.input, type=kind)

    @asynccontextmanager
    async def rows(
        self, *, csv: bool = False, limits: workbook.Limits = workbook.LIMITS
    ) -> AsyncIterator[AsyncGenerator[workbook.Row, None]]:
        """Yield the rows of the source.

        Raises:
            WorkbookError: It cannot be read, perhaps in its middle.
        """
        chunks = self.desk.attachments.files.read(self.workspace, self.job.source)
        async with (
            workbook.spooled(chunks, self.desk.settings.upload_max_bytes) as path,
            aclosing(workbook.read(path, csv=csv, limits=limits)) as rows,
        ):
            yield rows

    async def report(
        self, counts: Counts, cursor: str = "", refused: Sequence[RefusedRow] = (), **more: Any
    ) -> None:
        """Say how far it came; the refused rows of this step are kept first.

        Raises:
            JobStoppedError: It is not ours any more.
            StoreUnavailableError: It is not known to be kept; whoever resumes goes on before it.
        """
        for page in _pages(self.job, refused):
            await self.desk.store.port.insert_many(REFUSED_ROWS, [page])
        errors = "rows" if refused else self.job.errors
        await self.write(counts=counts, cursor=cursor, errors=errors, attempts=0, **more)

    async def made(self, chunks: AsyncIterator[bytes], name: str) -> None:
        """Store the result, whole or not at all.

        Raises:
            JobStoppedError: It is not ours any more.
        """
        file_id = derive_id("fil", self.job.id, "result")
        await self.desk.attachments.files.put(self.workspace, file_id, chunks)
        await self.write(result=file_id, result_name=name)

    async def audit(self, action: str, about: str, before: Any = None, after: Any = None) -> None:
        """Record a change as one of the job's agent."""
        await audited(self.desk, self.job, action, about, before, after)

    async def hold(self) -> None:
        """Hold the job for a while longer.

        Raises:
            JobStoppedError: It is not ours any more.
        """
        await self.write()

    async def write(self, **changes: Any) -> None:
        """Change the job, and hold it for a while longer.

        Raises:
            JobStoppedError: It is not ours any more.
        """
        async with self._writing:
            for _ in range(_TRIES):
                fresh = {"lease_until": self.desk.now() + LEASE, **changes}
                changed = msgspec.structs.replace(self.job, **fresh)
                try:
                    self.job = await self.desk.store.port.replace(JOBS, changed)
                except StaleRevisionError:
                    await self._read_again()
                else:
                    return
        raise JobStoppedError

    async def _read_again(self) -> None:
        """Read the job: a write of ours may have happened that was never confirmed.

        Raises:
            JobStoppedError: Somebody else wrote it.
        """
        found = await self.desk.store.port.get(JOBS, self.workspace, self.job.id)
        if found is None or found.holder != self.job.holder or found.state == "cancelled":
            raise JobStoppedError
        self.job = found


Runner = Callable[[Work], Awaitable[None]]
"""Does a job, or what is left of it; returns when it is done. A `CommandError` is its failure."""

LEAST: dict[JobKind, Role] = {
    "contacts.import": "lead",
    "contacts.export": "agent",
    "standard_messages.import": "lead",
    "contact.erase": "admin",
}
"""Who may have such a job run; who has become less since has it not."""


def _pages(job: Job, refused: Sequence[RefusedRow]) -> list[RefusedRows]:
    pages: list[list[RefusedRow]] = []
    room = 0
    for row in refused:
        cells = tuple(cell[:_CELL_SHOWN] for cell in row.cells)
        size = sum(map(len, cells)) + len(row.reason)
        if size > room:
            pages.append([])
            room = _PAGE_CHARS
        room -= size
        pages[-1].append(msgspec.structs.replace(row, cells=cells))
    return [
        RefusedRows(
            id=derive_id("jre", job.id, str(rows[0].number)),
            workspace=job.workspace,
            job=job.id,
            place=rows[0].number,
            rows=tuple(rows),
        )
        for rows in pages
    ]

"""Running jobs: whichever replica is free takes one under a lease, and resumes those of the dead.

Of each kind a workspace has one job running: the oldest that is not over is the only one that may
be taken, so that this needs no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from libs.common.documents import AGENTS
from libs.common.errors import CommandError, GatewayError, RetryableError, StaleRevisionError
from libs.common.finished import told
from libs.common.jobs import JOBS, REFUSED_ROWS, Job, JobKind
from libs.common.store.api import Page, Range, Store
from services.desk import metrics
from services.desk.api.route import RANK, Desk
from services.desk.each import for_each
from services.desk.jobs import FINAL, LEASE, LEAST, LIFE, JobStoppedError, Runner, Work, job_facts

log = logging.getLogger(__name__)

AT_ONCE = 2
LOOK_EVERY_S = 2.0
SWEEP_EVERY_S = 600.0
MOST_ATTEMPTS = 5
"""How often a job is taken up without coming any further, until it is given up."""
TOLD = frozenset({"contacts.import", "standard_messages.import"})
_PAGE = 100
_SHUT_WITHIN_S = 5.0


@asynccontextmanager
async def working(
    desk: Desk, runners: Mapping[JobKind, Runner], *, every_s: float = LOOK_EVERY_S
) -> AsyncIterator[None]:
    """Run jobs until the block ends; what is not done then is left for another to resume."""
    crew = Crew(desk, runners)
    tasks = [asyncio.create_task(crew.run(every_s)), asyncio.create_task(_sweep(desk))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await crew.close()


async def claimable(store: Store, workspace: str, now: datetime) -> tuple[list[Job], int]:
    """Return the jobs that may be taken, at most one of a kind, and how many are not over."""
    page = Page(order="open", limit=_PAGE)
    found = await store.find(JOBS, workspace, {"waiting_since": Range()}, page)
    oldest: dict[str, Job] = {}
    for job in found:
        oldest.setdefault(job.kind, job)
    free = [job for job in oldest.values() if job.lease_until is None or job.lease_until <= now]
    return free, len(found)


class Crew:
    """The jobs that this process runs."""

    def __init__(self, desk: Desk, runners: Mapping[JobKind, Runner]) -> None:
        self._desk = desk
        self._runners = runners
        self._name = uuid.uuid4().hex
        self._running: set[asyncio.Task[None]] = set()
        self._last = ""

    async def run(self, every_s: float) -> None:
        """Look for jobs, now and whenever one is begun here or ends, for ever."""
        stirred = self._desk.stirred
        while True:
            stirred.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stirred.wait()

    async def close(self) -> None:
        """Stop what runs; each is free for others at once."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_SHUT_WITHIN_S)

    async def _look(self) -> None:
        """Take as many jobs as there is room for, workspace by workspace, none always first."""
        store = self._desk.store.port
        waiting = 0

        async def look(workspace: str) -> None:
            nonlocal waiting
            found, count = await claimable(store, workspace, self._desk.now())
            waiting += count
            for job in found:
                if len(self._running) < AT_ONCE and job.kind in self._runners:
                    await self._take(job)

        await for_each(store, look, "desk.jobs_unread", self._in_turn)
        metrics.JOBS_WAITING.set(waiting)

    def _in_turn(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: (name <= self._last, name))

    async def _take(self, job: Job) -> None:
        now = self._desk.now()
        job.state = "running" if job.state == "waiting" else job.state
        job.started_at = job.started_at or now
        job.lease_until = now + LEASE
        job.holder = uuid.uuid4().hex
        job.attempts += 1
        try:
            job = await self._desk.store.port.replace(JOBS, job)
        except StaleRevisionError:
            return
        self._last = job.workspace
        task = asyncio.create_task(self._do(job))
        self._running.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._desk.stirred.set()

    async def _do(self, job: Job) -> None:
        """Run *job* to its end, or leave it to whoever comes when its lease is over."""
        try:
            await _done(self._desk, job, self._runners[job.kind])
        except JobStoppedError:
            log.info("desk.job_stopped", extra={"job": job.id})
        except GatewayError as error:
            log.warning("desk.job_waits", extra={"job": job.id, "code": error.code})
        except Exception as error:  # the boundary: nobody else hears of it
            log.exception("desk.job_bug", extra={"job": job.id, "kind": type(error).__name__})


async def _done(desk: Desk, job: Job, runner: Runner) -> None:
    agent = await desk.store.port.get(AGENTS, job.workspace, job.agent)
    if agent is None:
        raise JobStoppedError
    work = Work(desk, agent, job)
    try:
        if job.state not in FINAL:
            allowed = not agent.disabled and RANK[agent.role] >= RANK[LEAST[job.kind]]
            await _to_its_end(work, runner, allowed=allowed)
        await _close(work)
    except asyncio.CancelledError:  # this process stops: another need not wait for the lease
        with contextlib.suppress(GatewayError, JobStoppedError):
            await work.write(lease_until=desk.now(), attempts=max(0, work.job.attempts - 1))
        raise


async def _to_its_end(work: Work, runner: Runner, *, allowed: bool) -> None:
    """Run it, and write what became of it; it is not over before that is told."""
    outcome: dict[str, Any] = {"state": "done", "reason": ""}
    try:
        if not allowed:
            outcome = _failed("Whoever began it may not do this any more.")
        elif work.job.attempts > MOST_ATTEMPTS:
            outcome = _failed("It was begun several times and came no further.")
        else:
            await _held(work, runner)
    except CommandError as error:
        outcome = _failed(error.detail)
    except (JobStoppedError, RetryableError):
        raise
    except Exception as error:  # the boundary: a bug ends the job, told once
        error_id = uuid.uuid4().hex
        log.exception("desk.job_bug", extra={"job": work.job.id, "error_id": error_id})
        outcome = _failed(f"This is a fault of ours ({type(error).__name__}, {error_id}).")
    now = work.desk.now()
    await work.write(**outcome, finished_at=now, expires_at=now + LIFE)
    await work.audit(f"job.{outcome['state']}", f"job:{work.job.id}", after=job_facts(work.job))
    metrics.JOBS_FINISHED.labels(work.job.kind, outcome["state"]).inc()
    started = work.job.started_at or now
    metrics.JOBS_SECONDS.labels(work.job.kind).observe((now - started).total_seconds())


def _failed(reason: str) -> dict[str, Any]:
    return {"state": "failed", "reason": reason}


async def _held(work: Work, runner: Runner) -> None:
    """Run it, renewing the lease meanwhile."""
    running = asyncio.ensure_future(runner(work))
    renewing = asyncio.create_task(_renew(work))
    try:
        await asyncio.wait({running, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            renewing.result()  # raises why it is not ours any more
        await running
    finally:
        running.cancel()
        renewing.cancel()
        await asyncio.wait({running, renewing})
        if not running.cancelled() and running.done():
            running.exception()  # seen; whoever awaited it has raised it


async def _renew(work: Work) -> None:
    while True:
        await asyncio.sleep(LEASE / timedelta(seconds=3))
        with contextlib.suppress(RetryableError):
            await work.hold()


async def _close(work: Work) -> None:
    """Tell that it is over, then let it be so: whoever dies between the two tells it again."""
    job = work.job
    if job.kind in TOLD and not job.dry_run:
        await told(
            work.desk.bus,
            job.workspace,
            job.id,
            agent=job.agent,
            counts={name: getattr(job.counts, name) for name in ("created", "updated", "failed")},
            ok=job.state == "done",
            now=job.finished_at or work.desk.now(),
        )
    await work.write(waiting_since=None, lease_until=None, holder="")


# --- what is over ------------------------------------------------------------------------------


async def _sweep(desk: Desk) -> None:
    async def each(workspace: str) -> None:
        await sweep(desk, workspace)

    while True:
        await for_each(desk.store.port, each, "desk.jobs_unswept")
        await asyncio.sleep(SWEEP_EVERY_S)


async def sweep(desk: Desk, workspace: str) -> int:
    """Delete the jobs whose time is over, their files first; return how many."""
    store, now = desk.store.port, desk.now()
    page = Page(order="expires", limit=_PAGE)
    found = await store.find(JOBS, workspace, {"expires_at": Range(lt=now)}, page)
    for job in found:
        for file_id in filter(None, (job.source, job.result)):
            await desk.attachments.files.delete(workspace, file_id)
        await _forget_rows(store, workspace, job.id)
        await store.delete(JOBS, workspace, job.id)
    return len(found)


async def _forget_rows(store: Store, workspace: str, job_id: str) -> None:
    page = Page(order="job", limit=_PAGE)
    while rows := await store.find(REFUSED_ROWS, workspace, {"job": job_id}, page):
        for one in rows:
            await store.delete(REFUSED_ROWS, workspace, one.id)

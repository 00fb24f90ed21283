"""Jobs: who runs them, in which turn, how they end, and who sees them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common.documents import AGENTS, CONTACTS, Contact
from libs.common.errors import InvalidInputError, NotFoundError, StoreUnavailableError
from libs.common.jobs import JOBS, REFUSED_ROWS, Counts, Job, RefusedRow
from libs.common.store.api import Store
from services.desk.api import pouring
from services.desk.jobs import LEASE, LIFE, MOST_OPEN, JobStoppedError, Runner, Work
from services.desk.jobs_run import MOST_ATTEMPTS, sweep, working
from services.desk.store import DeskStore
from tests.desk.test_app import when
from tests.desk.world import World, serving


async def begun(world: World, who: str = "amy", key: str = "", **query: str) -> Any:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    answer = await world.call(
        "POST", "/contacts/export", who, headers=headers, query=list(query.items())
    )
    assert answer.status == 202, answer.body
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    return answer.json


async def stored(world: World, job_id: str, workspace: str = "") -> Job:
    found = await world.store.get(JOBS, workspace or world.workspace, job_id)
    assert found is not None
    return found


async def ended(world: World, job_id: str, workspace: str = "") -> Job:
    async def is_over() -> bool:
        return (await stored(world, job_id, workspace)).waiting_since is None

    await when(is_over)
    return await stored(world, job_id, workspace)


@asynccontextmanager
async def running(
    world: World, runner: Runner, later: timedelta = timedelta()
) -> AsyncIterator[None]:
    desk = msgspec.structs.replace(world.desk, now=lambda: datetime.now(UTC) + later)
    async with working(desk, {"contacts.export": runner}, every_s=0.02):
        yield


def raising(error: Exception) -> Runner:
    async def run(_: Work) -> None:
        raise error

    return run


async def quick(work: Work) -> None:
    refused = [RefusedRow(number=7, field="email", reason="this is none", cells=("=a", "b"))]
    await work.report(Counts(total=2, done=2, failed=1), "2", refused, columns=("email", "x"))


ENDS: Mapping[str, tuple[Runner, str, str]] = {
    "done": (quick, "done", ""),
    "failed, as the order cannot be carried out": (
        raising(InvalidInputError("key: there is no such column.")), "failed", "key: there is no",
    ),
    "failed, by a fault of ours": (raising(ZeroDivisionError()), "failed", "fault of ours"),
}  # fmt: skip


@pytest.mark.parametrize(("runner", "state", "reason"), ENDS.values(), ids=ENDS)
async def test_a_job_ends(world: World, runner: Runner, state: str, reason: str) -> None:
    job = await begun(world)
    async with running(world, runner):
        found = await ended(world, job["id"])
    assert found.state == state
    assert reason in found.reason
    assert found.finished_at is not None
    assert found.lease_until is None
    shown = await world.get(f"/jobs/{job['id']}")
    assert (shown["state"], shown["reason"]) == (state, found.reason)
    actions = [one.action for one in await world.audited()]
    assert sorted(actions) == sorted(["job.start", f"job.{state}"])


async def test_the_refused_rows_are_given_as_they_were(world: World) -> None:
    job = await begun(world)
    async with running(world, quick):
        await ended(world, job["id"])
    answer = await world.call("GET", f"/jobs/{job['id']}/errors", "amy")
    lines = answer.body.decode("utf-8-sig").split("\r\n")
    assert lines == ["row,column,reason,email,x", "7,email,this is none,'=a,b", ""]
    book = await world.call("GET", f"/jobs/{job['id']}/errors", "amy", query=[("format", "xlsx")])
    assert book.body[:2] == b"PK"
    assert "errors.xlsx" in book.headers["Content-Disposition"]


async def test_a_workspace_has_one_job_of_a_kind_running_and_holds_up_nobody_else(
    world: World,
) -> None:
    jobs = [(await begun(world))["id"] for _ in range(3)]
    other = (await begun(world, "zoe"))["id"]
    here: list[str] = []
    most = 0
    free = asyncio.Event()

    async def run(work: Work) -> None:
        nonlocal most
        here.append(work.job.id)
        most = max(most, len({j for j in here if j in jobs} - done))
        if work.workspace == world.workspace:
            await free.wait()
        done.add(work.job.id)

    done: set[str] = set()
    async with running(world, run), running(world, run):  # two replicas
        await ended(world, other, world.other)
        assert [one for one in here if one in jobs] == jobs[:1]
        free.set()
        for job in jobs:
            assert (await ended(world, job)).state == "done"
    assert most == 1
    assert [one for one in here if one in jobs] == jobs


async def test_a_cancelled_job_stops_and_stays_so(world: World) -> None:
    job = (await begun(world))["id"]
    begin, stopped = asyncio.Event(), asyncio.Event()

    async def run(work: Work) -> None:
        begin.set()
        try:
            while True:
                await asyncio.sleep(0.02)
                await work.report(Counts(done=1))
        except JobStoppedError:
            stopped.set()
            raise

    async with running(world, run):
        await begin.wait()
        path = f"/jobs/{job}/cancel"
        assert (await world.call("POST", path, "bob")).status == 404
        assert (await world.call("POST", path, "amy")).json["state"] == "cancelled"
        assert (await world.call("POST", path, "amy")).json["state"] == "cancelled"
        async with asyncio.timeout(30):
            await stopped.wait()
    found = await stored(world, job)
    assert (found.state, found.waiting_since) == ("cancelled", None)


async def test_who_lost_its_lease_writes_nothing_more_and_another_goes_on_from_there(
    world: World,
) -> None:
    job = (await begun(world))["id"]
    held, seen = asyncio.Event(), []
    lost: list[bool] = []

    async def slow(work: Work) -> None:
        await work.report(Counts(done=3), "3")
        held.set()
        await asyncio.sleep(0.3)
        try:
            await work.report(Counts(done=4), "4")
        except JobStoppedError:
            lost.append(True)
            raise

    async def next_one(work: Work) -> None:
        seen.append(work.job.cursor)
        await work.report(Counts(done=9), "9")

    async with running(world, slow):
        await held.wait()
        async with running(world, next_one, later=2 * LEASE):
            found = await ended(world, job)
            await when(lambda: lost)
    assert (found.state, found.counts.done, seen) == ("done", 9, ["3"])


async def test_a_desk_that_stops_leaves_its_jobs_to_others_at_once(world: World) -> None:
    job = (await begun(world))["id"]
    held = asyncio.Event()

    async def endless(work: Work) -> None:
        await work.report(Counts(done=3), "3")
        held.set()
        await asyncio.Event().wait()

    async with running(world, endless):
        await held.wait()
    async with running(world, quick):
        assert (await ended(world, job)).state == "done"


async def test_what_is_away_is_waited_for_and_what_never_comes_further_is_given_up(
    world: World,
) -> None:
    job = (await begun(world))["id"]
    tried = 0

    async def run(_: Work) -> None:
        nonlocal tried
        tried += 1
        raise StoreUnavailableError("away")

    for turn in range(1, MOST_ATTEMPTS + 1):
        async with running(world, run, later=2 * turn * LEASE):
            await when(lambda: tried == turn)  # noqa: B023
    async with running(world, run, later=20 * LEASE):
        found = await ended(world, job)
    assert (found.state, tried) == ("failed", MOST_ATTEMPTS)
    assert "came no further" in found.reason


async def test_the_job_of_who_may_not_any_more_is_not_done(world: World) -> None:
    job = (await begun(world))["id"]
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(amy, disabled=True))
    async with running(world, raising(AssertionError("it was run"))):
        found = await ended(world, job)
    assert (found.state, found.reason[:22]) == ("failed", "Whoever began it may n")


async def test_a_key_makes_one_job_and_a_workspace_has_so_many_at_most(world: World) -> None:
    first = await begun(world, key="k1")
    assert (await begun(world, key="k1"))["id"] == first["id"]
    headers = {"Idempotency-Key": "k1"}
    answer = await world.call(
        "POST", "/contacts/export", "amy", headers=headers, query=[("format", "xlsx")]
    )
    assert (answer.status, answer.json["code"]) == (409, "idempotency_conflict")
    for _ in range(MOST_OPEN - 1):
        await begun(world)
    answer = await world.call("POST", "/contacts/export", "amy")
    assert (answer.status, answer.json["code"]) == (429, "too_many")
    assert answer.headers["Retry-After"]
    await begun(world, "zoe")
    listed = await world.get("/jobs", limit=15)
    more = await world.get("/jobs", limit=15, cursor=listed["next"])
    assert len({one["id"] for one in (*listed["items"], *more["items"])}) == MOST_OPEN


async def test_jobs_are_seen_by_their_agent_and_by_leads(world: World) -> None:
    job = (await begun(world))["id"]
    seen = {
        who: (await world.call("GET", f"/jobs/{job}", who)).status
        for who in ("amy", "bob", "rita", "lena", "olga", "zoe")
    }
    assert seen == {"amy": 200, "bob": 404, "rita": 404, "lena": 200, "olga": 200, "zoe": 404}
    listed = {who: len((await world.get("/jobs", who))["items"]) for who in seen}
    assert listed == {"amy": 1, "bob": 0, "rita": 0, "lena": 1, "olga": 1, "zoe": 0}
    assert (await world.get("/jobs", "lena", mine="true"))["items"] == []
    for path in ("result", "errors"):
        strange = await world.call("GET", f"/jobs/{job}/{path}", "zoe")
        unknown = await world.call("GET", f"/jobs/job_none/{path}", "zoe")
        assert (strange.status, strange.body) == (404, unknown.body)


async def test_d15_a_job_of_a_later_version_holds_up_no_other_workspace(world: World) -> None:
    now = datetime.now(UTC)
    kind: Any = "future.kind"
    first, second = sorted((world.workspace, world.other))
    odd = Job(
        id="job-odd",
        workspace=first,
        kind=kind,
        agent="agt-zoe",
        created_at=now,
        waiting_since=now,
        expires_at=now + LIFE,
    )
    await world.store.insert(JOBS, odd)
    who = "olga" if second == world.workspace else "zoe"
    async with running(world, quick):
        job = (await begun(world, who))["id"]
        assert (await ended(world, job, second)).state == "done"


async def test_d15_slow_readers_of_a_workspace_leave_room_for_others(world: World) -> None:
    async with AsyncExitStack() as held:
        for _ in range(4):
            await held.enter_async_context(pouring._workspaces.place(world.workspace))
        full = await world.call("GET", "/contacts/export", "olga")
        assert (full.status, full.json["code"]) == (429, "too_many")
        assert "others" in full.json["detail"]
        assert (await world.call("GET", "/contacts/export", "zoe")).status == 200
    assert (await world.call("GET", "/contacts/export", "olga")).status == 200


async def test_d24_a_limited_lead_sees_own_jobs_alone(world: World) -> None:
    theirs = (await begun(world, "olga"))["id"]
    limits = {"channels": ["line"]}
    assert (await world.call("PATCH", "/agents/agt-lena", "adam", body=limits)).status == 200
    own = (await begun(world, "lena", key="lena"))["id"]
    assert [one["id"] for one in (await world.get("/jobs", "lena"))["items"]] == [own]
    for path in ("", "/result", "/errors"):
        assert (await world.call("GET", f"/jobs/{theirs}{path}", "lena")).status == 404
    assert (await world.call("POST", f"/jobs/{theirs}/cancel", "lena")).status == 404


async def test_i13_the_record_of_a_job_names_no_address(world: World) -> None:
    query = [("email", "eve@example.org"), ("phone", "+6621234567"), ("ref", "C-77")]
    answer = await world.call("POST", "/contacts/export", "olga", query=query)
    assert answer.status == 202, answer.body
    [told] = [one for one in await world.audited() if one.action == "job.start"]
    assert told.after
    for secret in ("eve@", "6621234567", "C-77"):
        assert secret not in told.after


async def test_a_job_is_deleted_with_all_that_it_left(world: World) -> None:
    async def run(work: Work) -> None:
        await quick(work)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"made"

        await work.made(pieces(), "made.txt")

    job = (await begun(world))["id"]
    async with running(world, run):
        found = await ended(world, job)
    answer = await world.call("GET", f"/jobs/{job}/result", "amy")
    assert (answer.status, answer.body) == (200, b"made")
    assert await sweep(world.desk, world.workspace) == 0
    later = msgspec.structs.replace(
        world.desk, now=lambda: datetime.now(UTC) + LIFE + timedelta(seconds=1)
    )
    assert await sweep(later, world.workspace) == 1
    assert await world.store.get(JOBS, world.workspace, job) is None
    assert await world.store.count(REFUSED_ROWS, world.workspace, {"job": job}) == 0
    with pytest.raises(NotFoundError):
        async for _ in world.desk.attachments.files.read(world.workspace, found.result):
            pass


class Failing:
    """A store whose `find` is away after some calls."""

    def __init__(self, store: Store, calls: int) -> None:
        self._store = store
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return self._find if name == "find" else getattr(self._store, name)

    async def _find(self, collection: Any, *rest: Any) -> Any:
        self._calls -= collection is CONTACTS
        if self._calls < 0:
            raise StoreUnavailableError("away")
        find: Callable[..., Awaitable[Any]] = self._store.find
        return await find(collection, *rest)


async def test_an_export_that_breaks_off_is_seen_to_be_cut(world: World) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    many = [
        Contact(id=f"con-{n:04}", workspace=world.workspace, first_seen_at=at, name="N" * 190)
        for n in range(1500)
    ]
    assert await world.store.insert_many(CONTACTS, many) == {}
    broken: Any = Failing(world.store, 6)
    desk = msgspec.structs.replace(world.desk, store=DeskStore(broken))
    headers = {"Authorization": f"Bearer {world.tokens['lena']}"}
    async with serving(desk) as port:
        url = f"http://127.0.0.1:{port}/api/v1/contacts/export"
        async with world.http.get(url, headers=headers) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
    broken = Failing(world.store, 0)
    desk = msgspec.structs.replace(world.desk, store=DeskStore(broken))
    async with serving(desk) as port:
        url = f"http://127.0.0.1:{port}/api/v1/contacts/export?format=xlsx"
        assert (await world.call("GET", url, "lena")).status == 503

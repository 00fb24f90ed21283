"""Importing contacts, as a job: from CSV and workbooks, with the rows that were refused."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.documents import CONTACTS, TAGS, Contact, Tag
from libs.common.jobs import JOBS
from libs.common.store.api import Page
from libs.common.subjects import EVENTS
from libs.common.workbook import write_csv, write_xlsx
from services.desk.job_runners import RUNNERS
from services.desk.jobs_run import working
from services.desk.tagging import name_key
from tests.desk.test_app import when
from tests.desk.world import Answer, World

Table = Sequence[Sequence[str]]


async def _of(rows: Table) -> AsyncIterator[Sequence[str]]:
    for row in rows:
        yield row


async def as_csv(rows: Table) -> bytes:
    return b"".join([piece async for piece in write_csv(_of(rows))])


async def as_xlsx(rows: Table) -> bytes:
    return b"".join([piece async for piece in write_xlsx(_of(rows))])


async def put_in(
    world: World, raw: bytes, who: str = "lena", name: str = "people.csv", **query: str
) -> Answer:
    pairs = [("name", name), *query.items()]
    headers = {"Content-Type": "application/octet-stream"}
    return await world.call(
        "POST", "/contacts/import", who, raw=io.BytesIO(raw), headers=headers, query=pairs
    )


async def over(world: World, job: str, who: str = "lena") -> dict[str, Any]:
    """Wait until the job is over; return it."""
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = await world.get(f"/jobs/{job}", who)
            if found["state"] in {"done", "failed", "cancelled"}:
                return found
            await asyncio.sleep(0.05)


async def imported(world: World, rows: Table, **query: str) -> dict[str, Any]:
    answer = await put_in(world, await as_csv(rows), **query)
    assert answer.status == 202, answer.body
    return await over(world, answer.json["id"])


async def refused(world: World, job: str, who: str = "lena") -> list[list[str]]:
    answer = await world.call("GET", f"/jobs/{job}/errors", who)
    assert answer.status == 200
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


async def everybody(world: World) -> list[Contact]:
    found: list[Contact] = []
    page = Page(order="id", limit=1000)
    while rows := await world.store.find(CONTACTS, world.workspace, {}, page):
        found += rows
        page = msgspec.structs.replace(page, after=(rows[-1].id,))
    return found


def counts(job: Mapping[str, Any]) -> tuple[int, ...]:
    found = job["counts"]
    return tuple(found[name] for name in ("created", "updated", "unchanged", "failed"))


@asynccontextmanager
async def at_work(world: World) -> AsyncIterator[None]:
    async with working(world.desk, RUNNERS, every_s=0.1):
        yield


HEAD = (
    *("Name", "email", "phone", "gender", "birthday"),
    *("language", "zone", "ref", "fields.size"),
)


def people(count: int) -> list[list[str]]:
    rows = [
        [
            f"Person {n}",
            f"p{n}@example.org",
            f"+49 151 {n:08}",
            "other",
            "1990-02-03",
            "de-DE",
            "Europe/Berlin",
            f"C-{n}",
            "=cmd|' /C calc'!A0",
        ]
        for n in range(count)
    ]
    return [list(HEAD), *rows]


FAULTS: Mapping[str, tuple[int, str]] = {
    "an address without an at": (1, "nobody"),
    "a number that is none": (2, "abc"),
    "a gender that is none": (3, "blue"),
    "a day that is none": (4, "1990-02-30"),
    "a language that is none": (5, "??"),
    "a zone that is none": (6, "Mars/Base"),
}


async def test_b28_ten_thousand_rows_with_37_bad_ones_and_again(world: World) -> None:
    table = people(10_000)
    for place, (column, value) in enumerate(FAULTS.values()):
        table[100 * (place + 1)][column] = value
    for place in range(7, 37):
        table[100 * place][1] = "" if place % 2 else table[3][1]
    table[9_000][7] = table[1][7]
    async with at_work(world):
        dry = await imported(world, table, dry_run="true")
        assert (dry["state"], counts(dry)) == ("done", (9_963, 0, 0, 37))
        assert await everybody(world) == []
        first = await imported(world, table)
        assert (first["state"], counts(first)) == ("done", (9_963, 0, 0, 37))
        before = await everybody(world)
        assert len(before) == 9_963
        again = await imported(world, table)
        assert counts(again) == (0, 0, 9_963, 37)
    assert await everybody(world) == before
    assert {one.fields["size"] for one in before} == {"=cmd|' /C calc'!A0"}
    head, *rows = await refused(world, first["id"])
    assert head[:4] == ["row", "column", "reason", "Name"]
    assert len(rows) == 37
    assert [row[1] for row in rows[:6]] == [
        "email",
        "phone",
        "gender",
        "birthday",
        "language",
        "zone",
    ]
    assert rows[0][0] == "101"
    assert rows[0][3:6] == ["Person 99", "nobody", "'+49 151 00000099"]
    assert all(row[2] for row in rows)


async def test_b28_what_was_exported_changes_nothing_when_it_is_imported(world: World) -> None:
    await world.writes("hello", visitor="U1")
    tag = Tag(id="tag-1", workspace=world.workspace, name="a, b", name_key=name_key("a, b"))
    await world.store.insert(TAGS, tag)
    odd = Contact(
        id="con-odd",
        workspace=world.workspace,
        name="'=1+1 \u202e ",
        phone="0049 (0)151 123456",
        email="Odd@Example.org",
        ref="-007",
        tags=("tag-1",),
        fields={"email": "x", "note": " @SUM(A1) ", "empty": ""},
        first_seen_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    await world.store.insert(CONTACTS, odd)
    async with at_work(world):
        await imported(world, people(20))
        before = await everybody(world)
        for kind in ("csv", "xlsx"):
            answer = await world.call("GET", "/contacts/export", "lena", query=[("format", kind)])
            assert answer.status == 200, answer.body
            found = await put_in(world, answer.body, key="ref", name=f"x.{kind}")
            job = await over(world, found.json["id"])
            assert (kind, counts(job)) == (kind, (0, 0, 21, 1)), job  # who has no ref
            assert await everybody(world) == before


async def test_b38_the_importer_is_told_once_with_the_counts(world: World) -> None:
    table = [["email", "name"], ["a@example.org", "A"], ["nobody", "B"]]
    async with at_work(world):
        dry = await imported(world, table, dry_run="true")
        job = await imported(world, table)
        subject = subjects.fact(world.workspace, "import.finished", job["id"])
        await when(lambda: _is_closed(world, job["id"]))
    [sent] = [msgspec.json.decode(one.data) for one in await world.bus.read(EVENTS, subject)]
    assert (sent["status"], sent["notify"]) == ("done", ["agt-lena"])
    assert sent["counts"] == {"created": 1, "updated": 0, "failed": 1}
    untold = subjects.fact(world.workspace, "import.finished", dry["id"])
    assert await world.bus.read(EVENTS, untold) == []


async def _is_closed(world: World, job_id: str) -> bool:
    found = await world.store.get(JOBS, world.workspace, job_id)
    return found is not None and found.waiting_since is None

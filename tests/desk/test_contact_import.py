"""Importing contacts, as a job: from CSV and workbooks, with the rows that were refused."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.contact_documents import CONTACT_FIELDS, ContactField
from libs.common.contact_keys import keyed
from libs.common.documents import AGENTS, CONTACTS, TAGS, Contact, Tag
from libs.common.files.folder import FolderFiles
from libs.common.jobs import JOBS, Job
from libs.common.store.api import Page
from libs.common.subjects import EVENTS
from libs.common.workbook import write_csv, write_xlsx
from services.desk.attachments import Attachments
from services.desk.contact_import import ImportOrder, Writer, plan_of
from services.desk.contact_sheet import wanted
from services.desk.job_runners import RUNNERS
from services.desk.jobs import LEASE, Work
from services.desk.jobs_run import working
from services.desk.tagging import name_key
from tests.desk.test_app import desk_process, when
from tests.desk.world import Answer, World, open_world, serving
from tests.nats_server import NatsProcess

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


async def test_b28_a_dry_run_tells_the_same_and_writes_nothing(world: World) -> None:
    table = [*people(30), *(["X", f"x{n}"] for n in range(7)), ["Y", "p3@example.org"]]
    async with at_work(world):
        dry = await imported(world, table, dry_run="true")
        assert await everybody(world) == []
        done = await imported(world, table)
    assert counts(dry) == counts(done) == (30, 0, 0, 8)
    assert await refused(world, dry["id"]) == await refused(world, done["id"])


async def test_b28_an_import_whose_desk_is_killed_is_ended_by_another(
    tmp_path: Path, nats_process: NatsProcess, ready_url: str
) -> None:
    async with open_world(nats_process.url, ready_url) as world:
        folder = tmp_path / "files"
        files = Attachments(world.store, FolderFiles(folder), world.desk.settings.secret_key)
        async with serving(msgspec.structs.replace(world.desk, attachments=files)) as port:
            url = f"http://127.0.0.1:{port}/api/v1/contacts/import"
            pairs = [("name", "x.csv")]
            raw = io.BytesIO(await as_csv(people(1_200)))
            answer = await world.call("POST", url, "lena", raw=raw, query=pairs)
        job_id = answer.json["id"]

        async def stored() -> Job:
            found = await world.store.get(JOBS, world.workspace, job_id)
            assert found is not None
            return found

        async def is_half_done() -> bool:
            return bool((await stored()).cursor)

        more = {"RELAYDESK_FILES_URL": f"file://{folder}"}
        async with desk_process(tmp_path, nats_process.url, ready_url, **more) as (process, _):
            await when(is_half_done)
            process.kill()
            await process.wait()
        half = await stored()
        assert half.state == "running"
        assert half.counts.done < 1_200
        assert len(await everybody(world)) < 1_200
        later = lambda: datetime.now(UTC) + LEASE  # noqa: E731
        desk = msgspec.structs.replace(world.desk, attachments=files, now=later)
        async with working(desk, RUNNERS, every_s=0.1):
            done = await over(world, job_id)
        assert (done["state"], counts(done)) == ("done", (1_200, 0, 0, 0))
        found = await everybody(world)
        assert len(found) == len({one.email for one in found}) == 1_200


CASES: Mapping[str, tuple[Table, Mapping[str, str], tuple[int, ...], str]] = {
    "a blank cell keeps what is there": (
        [["email", "name"], ["known@example.org", ""]], {}, (0, 0, 1, 0), "Known",
    ),
    "or clears it": (
        [["email", "name"], ["known@example.org", ""]], {"on_blank": "clear"}, (0, 1, 0, 0), "",
    ),
    "by number, however it is written": (
        [["phone", "name"], ["0044 (0)20 7946 0958", "New"]], {"key": "phone"}, (0, 1, 0, 0), "New",
    ),
    "by reference": ([["ref", "name"], ["R1", "New"]], {"key": "ref"}, (0, 1, 0, 0), "New"),
    "a column of another name": (
        [["Mail", "Who", "x"], ["known@example.org", "New", "?"]],
        {"map": "Mail:email,Who:name,x:-"}, (0, 1, 0, 0), "New",
    ),
    "a tag that every row gets": (
        [["email"], ["known@example.org"]], {"tag": "tag-vip"}, (0, 1, 0, 0), "Known",
    ),
    "a tag by its name": (
        [["email", "tags"], ["known@example.org", "vip"]], {}, (0, 1, 0, 0), "Known",
    ),
    "a tag that there is not": (
        [["email", "tags"], ["known@example.org", "gold"]], {}, (0, 0, 0, 1), "Known",
    ),
    "a reference that another contact has": (
        [["email", "ref"], ["known@example.org", "R2"]], {}, (0, 0, 0, 1), "Known",
    ),
    "an address that two contacts have": (
        [["email", "name"], ["two@example.org", "New"]], {}, (0, 0, 0, 1), "Known",
    ),
    "the same person twice": (
        [["email", "name"], ["KNOWN@example.org", "New"], ["known@example.org", "Newer"]],
        {}, (0, 1, 0, 1), "New",
    ),
    "a number for a field that takes numbers": (
        [["email", "Shoe size"], ["known@example.org", "43"], ["b@example.org", "big"]],
        {}, (0, 1, 0, 1), "Known",
    ),
}  # fmt: skip


async def _furnish(world: World) -> None:
    def contact(id_: str, **more: Any) -> Contact:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return keyed(Contact(id=id_, workspace=world.workspace, first_seen_at=at, **more))

    known = contact(
        "con-known", name="Known", email="Known@example.org", phone="+442079460958", ref="R1"
    )
    others = [contact(f"con-{n}", email="two@example.org", ref=f"R{n}") for n in (2, 3)]
    assert await world.store.insert_many(CONTACTS, [known, *others]) == {}
    tag = Tag(id="tag-vip", workspace=world.workspace, name="VIP", name_key=name_key("VIP"))
    await world.store.insert(TAGS, tag)
    size = ContactField(
        id="cfd-1", workspace=world.workspace, name="size", label="Shoe size", type="number"
    )
    await world.store.insert(CONTACT_FIELDS, size)


async def test_b28_rows_find_their_contacts_and_change_what_they_name(world: World) -> None:
    job: dict[str, Any] = {}
    async with at_work(world):
        for sentence, (table, query, expected, name) in CASES.items():
            for one in await everybody(world):
                await world.store.delete(CONTACTS, world.workspace, one.id)
            await world.store.delete(TAGS, world.workspace, "tag-vip")
            await world.store.delete(CONTACT_FIELDS, world.workspace, "cfd-1")
            await _furnish(world)
            job = await imported(world, table, **query)
            assert (sentence, counts(job)) == (sentence, expected)
            found = await world.store.get(CONTACTS, world.workspace, "con-known")
            assert found is not None
            assert (sentence, found.name) == (sentence, name)
            tagged = "VIP" in str(table) or "vip" in str(table) or "tag" in query
            assert (sentence, found.tags) == (sentence, ("tag-vip",) if tagged else ())
        record = [entry for entry in await world.audited() if entry.object == f"job:{job['id']}"]
        assert [entry.action for entry in record] == ["job.start", "job.done"]


REFUSED: Mapping[str, tuple[Table, Mapping[str, str], str]] = {
    "a column that is not known": ([["email", "shoe"], ["a@x.example", "1"]], {}, "'shoe'"),
    "a column twice": ([["email", "E-mail"], ["a", "b"]], {"map": "E-mail:email"}, "twice"),
    "no column to find contacts by": ([["name"], ["A"]], {}, "no column email"),
    "a renamed column that is not there": ([["email"], ["a"]], {"map": "Mail:email"}, "'Mail'"),
}


async def test_a_table_that_cannot_be_understood_changes_nothing(world: World) -> None:
    async with at_work(world):
        for sentence, (table, query, reason) in REFUSED.items():
            job = await imported(world, table, **query)
            assert (sentence, job["state"]) == (sentence, "failed")
            assert reason in job["reason"], sentence
    assert await everybody(world) == []


async def test_what_people_write_meanwhile_is_not_overwritten(world: World) -> None:
    await _furnish(world)
    answer = await put_in(world, await as_csv([["email", "name"], ["known@example.org", "New"]]))
    job = await world.store.get(JOBS, world.workspace, answer.json["id"])
    agent = await world.store.get(AGENTS, world.workspace, "agt-lena")
    assert job is not None
    assert agent is not None
    plan = await plan_of(Work(world.desk, agent, job), ImportOrder(), ["email", "name"])
    writer = Writer(Work(world.desk, agent, job), plan)
    rows = [
        wanted(2, ["known@example.org", "New"], plan),
        wanted(3, ["fresh@example.org", "Fresh"], plan),
    ]
    planned = await writer.plan(rows)
    body = {"zone": "Europe/Berlin"}
    assert (await world.call("PATCH", "/contacts/con-known", "amy", body=body)).status == 200
    await writer.write(rows, await writer.plan(rows))  # another import, or one thought dead
    found = await writer.write(rows, planned)
    assert found.outcomes == {2: "unchanged", 3: "unchanged"}
    after = {one.email.lower(): one for one in await everybody(world)}
    assert (after["known@example.org"].name, after["known@example.org"].zone) == (
        "New",
        "Europe/Berlin",
    )
    assert after["known@example.org"].set_by == {"name": "agt-lena"}
    assert len(after) == 3


async def test_who_sees_some_channels_imports_and_exports_only_what_is_on_them(
    world: World,
) -> None:
    session = await world.writes("hello", channel="line")
    body = {"email": "line@example.org", "ref": "L1"}
    path = f"/contacts/{session.contact}"
    assert (await world.call("PATCH", path, "lena", body=body)).status == 200
    lena = await world.store.get(AGENTS, world.workspace, "agt-lena")
    assert lena is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(lena, channels=("whatsapp",)))
    async with at_work(world):
        table = [["email", "name"], ["line@example.org", "Mine"], ["own@example.org", "Own"]]
        job = await imported(world, table)
    assert counts(job) == (1, 0, 0, 1)
    text = (await world.call("GET", "/contacts/export", "lena")).body.decode()
    assert "own@example.org" in text
    assert "line@example.org" not in text

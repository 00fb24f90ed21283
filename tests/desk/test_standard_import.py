"""Standard messages from workbooks and as one (B35, B36, B37, B38)."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common import subjects
from libs.common.documents import AGENTS, AUDIT
from libs.common.jobs import JOBS
from libs.common.later import STANDARD_MESSAGES
from libs.common.store.api import Page
from libs.common.workbook import read
from services.desk.job_runners import RUNNERS
from services.desk.jobs import Work
from services.desk.jobs_run import working
from services.desk.standard_import import run
from tests.desk.standard_books import HEADER, Rows, xls, xlsx
from tests.desk.test_folders import PATH, fold, team
from tests.desk.test_send_content import kept
from tests.desk.test_standard_messages import make
from tests.desk.world import Answer, World

BOOK: Rows = (
    HEADER,
    ("line, web", "Offers", "Sales", "", "10% off, {{contact.name|friend}}"),
    ("line;web", "offers", "sales", "", "=HYPERLINK(1)"),
    ("", "Thanks", "", "", "Thank you\nSee you soon"),
    ("", "", "", "", "For all"),
)
SHUFFLED: Rows = [[row[at] for at in (4, 2, 0, 1, 3)] for row in BOOK]


async def send(
    world: World, content: bytes, name: str = "book.xlsx", who: str = "lena", **query: str
) -> Answer:
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name)
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    if key := query.pop("key", ""):
        headers["Idempotency-Key"] = key
    path = "/api/v1/standard-messages/import"
    async with world.http.post(path, data=form, headers=headers, params=query) as answer:
        return Answer(answer.status, answer.headers.copy(), await answer.read())


async def ended(world: World, started: Answer, who: str = "lena") -> Any:
    """Return the job when it is over."""
    assert started.status == 202, started.body
    async with asyncio.timeout(20):
        while True:
            job = await world.store.get(JOBS, world.workspace, started.json["id"])
            if job is not None and job.waiting_since is None:
                return await world.get(f"/jobs/{job.id}", who)
            await asyncio.sleep(0.02)


async def imported(world: World, content: bytes, who: str = "lena", **query: str) -> Any:
    async with working(world.desk, RUNNERS, every_s=0.05):
        return await ended(world, await send(world, content, who=who, **query), who)


def counts(job: Any) -> dict[str, int]:
    return {name: job["counts"][name] for name in ("total", "created", "unchanged", "failed")}


async def held(world: World) -> list[tuple[str, ...]]:
    """Return what there is: folder, channels, teams, and text, by folder and place."""
    folders = {one["id"]: one for one in (await world.get(PATH, "lena"))["items"]}
    found: list[tuple[str, ...]] = []
    for id_ in (*folders, "none"):
        listed = await world.get("/standard-messages", "lena", folder=id_, order="place")
        one = folders.get(id_, {"name": "", "channels": [], "teams": []})
        scope = (one["name"], ",".join(one["channels"]), ",".join(one["teams"]))
        found += [(*scope, item["text"]) for item in listed["items"]]
    return found


HELD = [
    ("Offers", "line,web", "s", "10% off, {{contact.name|friend}}"),
    ("Offers", "line,web", "s", "=HYPERLINK(1)"),
    ("Thanks", "", "", "Thank you\nSee you soon"),
    ("", "", "", "For all"),
]
BOOKS = {
    "xlsx": xlsx(BOOK),
    "xls": xls(BOOK),
    "columns in another order": xlsx(SHUFFLED),
}


@pytest.mark.parametrize("content", BOOKS.values(), ids=BOOKS)
async def test_b36_b37_a_workbook_is_imported_once_however_often(
    world: World, content: bytes
) -> None:
    await team(world, "s", "Sales")
    tried = await imported(world, content, dry_run="true")
    assert counts(tried) == {"total": 4, "created": 4, "unchanged": 0, "failed": 0}
    assert await held(world) == []
    done = await imported(world, content)
    assert (done["state"], done["kind"]) == ("done", "standard_messages.import")
    assert counts(done) == {"total": 4, "created": 4, "unchanged": 0, "failed": 0}
    assert await held(world) == HELD
    again = await imported(world, content)
    assert counts(again) == {"total": 4, "created": 0, "unchanged": 4, "failed": 0}
    assert await held(world) == HELD
    records = [r for r in await world.audited() if r.action == "standard_message.create"]
    assert (len(records), {r.actor for r in records}) == (4, {"agent:agt-lena"})


async def test_b36_rows_that_are_wrong_are_told_and_the_others_are_taken(world: World) -> None:
    await fold(world, "Held", channels=["web"])
    content = xlsx(
        [
            HEADER,
            ("", "F", "", "", "one"),
            ("fax", "F", "", "", "two"),
            ("", "held", "", "", "three"),
            ("line", "Held", "", "", "four"),
            ("line", "Torn", "", "", "five"),
            ("web", "Torn", "", "", "six"),
            ("", "F", "", "", "one"),
            ("", "F", "", "", "{{contact.shape}}"),
        ]
    )
    done = await imported(world, content)
    assert (done["state"], done["errors"]) == ("done", True)
    assert counts(done) == {"total": 8, "created": 2, "unchanged": 1, "failed": 5}
    assert [row[-1] for row in await held(world)] == ["three", "one"]
    told = await world.call("GET", f"/jobs/{done['id']}/errors", "lena")
    rows = [line.split(",") for line in told.body.decode("utf-8-sig").splitlines()]
    assert [(row[0], row[1]) for row in rows] == [
        ("row", "column"),
        ("3", "Channels"),
        ("5", "Folder_name"),
        ("6", "Folder_name"),
        ("7", "Folder_name"),
        ("9", "Message"),
    ]


async def test_b37_only_workbooks_are_taken_whatever_their_name(world: World) -> None:
    table = "\r\n".join(",".join(row) for row in BOOK).encode()
    wrong = {
        "text under a workbook's name": (table, "book.xlsx", 415, "not_a_workbook"),
        "text under the other name": (table, "book.xls", 415, "not_a_workbook"),
        "a picture": (b"\x89PNG\r\n\x1a\n" + b"x" * 99, "book.xlsx", 415, "not_a_workbook"),
        "no rows": (xlsx([]), "book.xlsx", 422, ""),
        "another header": (xlsx([("Name", "Phone")]), "book.xlsx", 422, "invalid"),
    }
    for said, (content, name, status, code) in wrong.items():
        answer = await send(world, content, name)
        assert answer.status == status, (said, answer.body)
        assert not code or code in answer.json["code"], (said, answer.body)
        assert answer.json["facts"]["field"] == "file", said
    assert (await send(world, xls(BOOK), "book.csv")).status == 202  # by content alone
    assert len(await world.store.find(JOBS, world.workspace, {}, Page(order="created"))) == 1


async def test_b37_no_formula_runs(world: World) -> None:
    content = xlsx([HEADER, ("", "Sums", "", "", "=1+1")], formula="=1+1")
    assert counts(await imported(world, content))["created"] == 2
    assert [row[-1] for row in await held(world)] == ["=1+1", "the saved value"]
    answer = await world.call("GET", "/standard-messages/export.xlsx", "lena")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet


async def rows_of(content: bytes) -> list[tuple[str, ...]]:
    return [row.cells async for row in read(content)]


async def test_b35_the_template_has_the_columns_and_one_row_that_can_be_imported(
    world: World,
) -> None:
    answer = await world.call("GET", "/standard-messages/template.xlsx", "lena")
    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="template.xlsx"')
    [header, example] = await rows_of(answer.body)
    assert header == ("Channels", "Folder_name", "Team", "User", "Message")
    assert len(example) == 5
    done = await imported(world, answer.body)
    assert counts(done) == {"total": 1, "created": 1, "unchanged": 0, "failed": 0}
    again = await imported(world, answer.body)
    assert counts(again) == {"total": 1, "created": 0, "unchanged": 1, "failed": 0}


async def test_b36_what_is_exported_is_imported_to_the_same(world: World) -> None:
    for team_id, name in {"s": "Sales", "t1": "Twin", "t2": "Twin", "c": "Care, night"}.items():
        await team(world, team_id, name)
    scope: dict[str, Any] = {"teams": ["s", "t2", "c"], "channels": ["line"], "users": ["agt-amy"]}
    one = (await fold(world, "One", **scope)).json["id"]
    other = (await fold(world, "Other")).json["id"]
    file = await kept(world)
    for text in (" spaced \nand lines ", "=1+1", "plain"):
        await make(world, "Its own title", text=text, folder=one)
    await make(world, "With a file", text="text", attachments=[file], folder=other)
    await make(world, "A file alone", attachments=[await kept(world)], folder=other)
    before = await held(world)
    book = (await world.call("GET", "/standard-messages/export.xlsx", "lena")).body
    found = await rows_of(book)
    assert found[1][:4] == ("line", "One", "c, Sales, t2", world.email("amy"))
    done = await imported(world, book)
    assert counts(done) == {"total": 4, "created": 0, "unchanged": 4, "failed": 0}
    for id_, count in ((one, "3"), (other, "2")):
        asked = (await world.call("DELETE", f"{PATH}/{id_}", "lena")).json["facts"]
        assert asked["count"] == count
        query = [("confirm", asked["token"])]
        assert (await world.call("DELETE", f"{PATH}/{id_}", "lena", query=query)).status == 200
    assert counts(await imported(world, book))["created"] == 4
    after = await held(world)
    stripped = [(*row[:3], row[3].strip()) for row in before if row[3]]  # an import strips
    assert after == stripped
    users = [one["users"] for one in (await world.get(PATH, "lena"))["items"]]
    assert users == [["agt-amy"], []]


async def test_b38_the_importer_is_told_once_with_counts(world: World) -> None:
    done = await imported(world, xlsx([HEADER, *BOOK[3:]]))
    subject = subjects.fact(world.workspace, "import.finished", done["id"])
    fact = msgspec.json.decode(await world.bus.newest(subjects.EVENTS, subject) or b"null")
    assert fact["notify"] == ["agt-lena"]
    assert fact["status"] == "done"
    assert fact["counts"] == {"created": 2, "updated": 0, "failed": 0}


async def test_b36_a_step_that_is_done_again_after_a_crash_adds_nothing(world: World) -> None:
    rows = [HEADER, *(("", "Many", "", "", f"text {n}") for n in range(450))]
    book = xlsx(rows)
    started = await send(world, book, key="once")
    assert (await send(world, book, key="once")).json["id"] == started.json["id"]
    job = await world.store.get(JOBS, world.workspace, started.json["id"])
    agent = await world.store.get(AGENTS, world.workspace, "agt-lena")
    assert job is not None
    assert agent is not None

    class Dies(Work):
        """A process that dies before it can say that its second step is done."""

        async def report(self, *given: Any, **more: Any) -> None:
            if given[1] == "400":
                raise ConnectionResetError
            await super().report(*given, **more)

    with pytest.raises(ConnectionResetError):
        await run(Dies(world.desk, agent, job))
    left = await world.store.get(JOBS, world.workspace, started.json["id"])
    assert left is not None
    assert (left.cursor, left.counts.created) == ("200", 200)
    await world.store.replace(JOBS, msgspec.structs.replace(left, lease_until=None))
    async with working(world.desk, RUNNERS, every_s=0.05):
        done = await ended(world, started)
    assert counts(done) == {"total": 450, "created": 450, "unchanged": 0, "failed": 0}
    assert await world.store.count(STANDARD_MESSAGES, world.workspace, {}) == 450
    records = await world.store.find(AUDIT, world.workspace, {}, Page(order="at", limit=1000))
    assert sum(one.action == "standard_message.create" for one in records) == 450
    places = await world.get("/standard-messages", "lena", q="text 449")
    assert [one["place"] for one in places["items"]] == [449]


async def test_b36_a_lead_of_one_channel_imports_for_that_alone(world: World) -> None:
    await fold(world, "Web", channels=["web"])
    changed = await world.call("PATCH", "/agents/agt-lena", "olga", body={"channels": ["line"]})
    assert changed.status == 200, changed.body
    content = xlsx(
        [
            HEADER,
            ("line", "Mine", "", "", "one"),
            ("web", "Theirs", "", "", "two"),
            ("", "Web", "", "", "three"),
        ]
    )
    done = await imported(world, content)
    assert counts(done) == {"total": 3, "created": 1, "unchanged": 0, "failed": 2}
    assert [one["name"] for one in (await world.get(PATH, "lena"))["items"]] == ["Mine"]
    refused = await fold(world, "New", channels=["web"])
    assert (refused.status, refused.json["facts"]["field"]) == (422, "channels.0")

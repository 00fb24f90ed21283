"""What SQLite acknowledged is there, whole, however often the writing process is killed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from pathlib import Path

import msgspec

from libs.common.documents import MESSAGES, SESSIONS, Message
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from tests.store.contract import message, session
from tests.store.crash_writer import TASKS

ROUNDS = 10
ROOT = Path(__file__).parents[2]
CHUNK = 500


class Acknowledged:
    """What the killed processes had said was stored: message ids, and sessions with their rev."""

    def __init__(self) -> None:
        self.messages: set[str] = set()
        self.sessions: dict[str, int] = {}

    def hear(self, line: str) -> None:
        kind, doc_id, *rest = line.split()
        if kind == "message":
            self.messages.add(doc_id)
        else:
            self.sessions[doc_id] = int(rest[0])


async def write_until_killed(url: str, round_: int, heard: Acknowledged, delay_s: float) -> None:
    """Run a writer, kill it some time after its first words, and hear all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.store.crash_writer", url, str(round_)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    heard.hear((await asyncio.wait_for(process.stdout.readline(), 30)).decode())
    said = asyncio.create_task(process.stdout.read())
    await asyncio.sleep(delay_s)
    process.kill()
    text = (await said).decode()
    for line in text[: text.rfind("\n") + 1].splitlines():  # the last may be cut
        heard.hear(line)
    assert await process.wait() == -9


async def messages_of(store: Store, ids: list[str]) -> dict[str, bytes]:
    """Return the stored messages by id, as JSON at revision 0 for comparison."""
    found: dict[str, Message] = {}
    for start in range(0, len(ids), CHUNK):
        found |= await store.get_many(MESSAGES, "acme", ids[start : start + CHUNK])
    return {
        doc_id: msgspec.json.encode(msgspec.structs.replace(doc, rev=0))
        for doc_id, doc in found.items()
    }


async def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    heard = Acknowledged()
    chance = random.Random(7)  # noqa: S311 the same delays each time
    for round_ in range(ROUNDS):
        await write_until_killed(url, round_, heard, chance.uniform(0.05, 0.4))

    async with open_store(url, (SESSIONS, MESSAGES)) as store:
        stored = await messages_of(store, sorted(heard.messages))
        assert stored == {
            doc_id: msgspec.json.encode(message(int(doc_id.removeprefix("msg_"))))
            for doc_id in heard.messages
        }
        assert len(heard.sessions) == ROUNDS * TASKS
        for doc_id, rev in heard.sessions.items():
            doc = await store.get(SESSIONS, "acme", doc_id)
            assert doc is not None
            assert doc.rev >= rev
            if doc.rev > 1:  # the document, its columns and its entries changed together
                owner = f"a{doc.rev}"
                number = int(doc_id.removeprefix("ses_"))
                first = session(number, visitor=f"U{number}")
                assert doc == msgspec.structs.replace(
                    first, rev=doc.rev, entries=doc.rev, assignee_ids=(owner,)
                )
                where = {"assignee_ids": owner, "contact": doc.contact}
                page = Page(order="assignee")
                assert await store.find(SESSIONS, "acme", where, page) == [doc]

    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert len(heard.messages) > ROUNDS * TASKS

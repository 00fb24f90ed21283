"""Search over contacts and messages (D23): what is found, by what, and by whom."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec.structs import replace

from libs.common.contact_keys import keyed
from libs.common.documents import (
    AGENTS,
    COLLECTIONS,
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    MESSAGES,
    SYSTEM,
    Contact,
    DirectoryEntry,
    Message,
)
from libs.common.events import (
    ActionPart,
    ContactChanged,
    MediaPart,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    TextPart,
)
from libs.common.fill import fill
from libs.common.said import words_said
from libs.common.store.api import Page
from libs.common.store.open import open_store
from libs.common.words import query_words
from services.desk import search_walk
from services.desk.inbox_found import facets_of, page_of
from services.desk.search import Sought, contacts_matching, messages_found
from tests.desk.test_filters import combinations, fixtures, scan
from tests.desk.world import World

T0 = datetime(2026, 3, 1, 9, tzinfo=UTC)
MANY = ",".join(f"none{n}" for n in range(48))
SAID = (
    ("Ann", "Where is my invoice for order 12345?"),
    ("Ann", "The Straße is closed, the INVOICE was wrong"),
    ("Bob", "Invoices and receipts please"),
    ("Cem", "申請書を送ります"),
    ("Cem", "ขอใบเสร็จน้ำดื่มครับ"),
    ("Cem", "أين الفَاتُورَة"),
    ("Dee", "Call me at +44 (20) 7946-0958 or mail dee.smith@example.org"),
)
Q: dict[str, tuple[str, list[str]]] = {
    "a word": ("receipts", ["Invoices and receipts please"]),
    "a beginning": (
        "invo",
        ["Invoices and receipts please", SAID[1][1], SAID[0][1]],
    ),
    "several words, in any order and case": ("WRONG the", [SAID[1][1]]),
    "all words, or nothing": ("invoice umbrella", []),
    "a sharp s, written out": ("strasse", [SAID[1][1]]),
    "two signs of a script without spaces": ("申請", [SAID[3][1]]),
    "signs further on": ("書を送り", [SAID[3][1]]),
    "a single sign": ("請", [SAID[3][1]]),
    "the last sign": ("す", [SAID[3][1]]),
    "signs that are there, but not next to one another": ("申書", []),
    "a piece of Thai with its vowels": ("น้ำดื่ม", [SAID[4][1]]),
    "Arabic without its vowel points": ("الفاتورة", [SAID[5][1]]),
    "a number": ("12345", [SAID[0][1]]),
    "a telephone number": ("+44 20 7946 0958", [SAID[6][1]]),
    "the number without its country": ("020 7946 0958", [SAID[6][1]]),
    "an address": ("Dee.Smith@example.org", [SAID[6][1]]),
    "a piece of an address": ("smith example", [SAID[6][1]]),
    "signs that mean something elsewhere": (".*|(invoice$", [SAID[2][1], SAID[1][1], SAID[0][1]]),
    "punctuation alone": ("?!…", []),
    "an emoji": ("🎉", []),
}


@pytest_asyncio.fixture(loop_scope="module")
async def told(world: World) -> World:
    for n, (visitor, text) in enumerate(SAID):
        await world.writes(text, visitor=visitor, at=T0 + timedelta(minutes=n))
    return world


async def messages(world: World, who: str = "amy", **query: Any) -> list[str]:
    found = await world.get("/search", who, kind="messages", **query)
    return [hit["excerpt"]["text"] for hit in found["messages"]["items"]]


async def test_d23_messages_are_found_by_words_newest_first(told: World) -> None:
    for sentence, (text, expected) in Q.items():
        assert await messages(told, q=text) == expected, sentence


async def test_d23_whatever_is_typed_is_answered(told: World) -> None:
    typed = {
        "one letter": "i",
        "a thousand words": " ".join(f"word{n}" for n in range(1000)),
        "common words alone": "the is my",
        "seven thousand characters": "ab " * 2300,
        "one long word": "x" * 7_000,
        "signs of formatting": "%_\\'\"`$({[",
        "only accents": "e" + "\u0301\u0323" * 500,
    }
    for sentence, text in typed.items():
        answer = await told.call("GET", "/search", "amy", query=[("q", text)])
        assert answer.status == 200, sentence
    assert await messages(told, q="i")
    long = await told.call("GET", "/search", "amy", query=[("q", "ab " * 3300)])
    assert long.status == 400, "longer than an address may be"
    for odd in ("%00", "%ed%a0%80", "%ff"):
        answer = await told.call("GET", f"{told.base}/api/v1/search?q={odd}", "amy")
        assert answer.status in {200, 400}, odd
    wrong = {
        "nothing is asked for": ({}, "q"),
        "an unknown kind": ({"q": "a", "kind": "spells"}, "kind.0"),
        "an unknown channel": ({"q": "a", "channel": "pigeon"}, "channel.0"),
        "a cursor for two groups": ({"q": "a", "cursor": "WzEsMSwieCJd"}, "kind"),
        "no cursor": ({"q": "a", "kind": "messages", "cursor": "zz"}, "cursor"),
        "a time without a zone": ({"from": "2026-03-01T00:00:00"}, "from"),
        "too many rows": ({"q": "a", "limit": "101"}, "limit"),
    }
    for sentence, (query, field) in wrong.items():
        answer = await told.call("GET", "/search", "amy", query=list(query.items()))
        assert (answer.status, answer.json["facts"]["field"]) == (422, field), sentence


async def test_d23_pages_go_on_where_they_ended_while_people_write(told: World) -> None:
    whole = await messages(told, q="i", limit=100)
    assert len(whole) == 3
    seen: list[str] = []
    cursor = ""
    for n in range(20):
        query = {"q": "i", "kind": "messages", "limit": 1} | ({"cursor": cursor} if cursor else {})
        found = (await told.get("/search", "amy", **query))["messages"]
        seen += [hit["excerpt"]["text"] for hit in found["items"]]
        await told.writes(f"invoice meanwhile {n}", visitor="Eve", at=T0 + timedelta(hours=n + 1))
        cursor = found["next"]
        if cursor is None:
            break
    assert seen == whole


async def test_d23_an_edited_text_is_found_and_an_old_or_unsent_one_is_not(world: World) -> None:
    await world.writes("an apple", at=T0)
    await world.writes("a banana", at=T0 + timedelta(minutes=1))

    def edit(name: str, target: str, text: str, version: int) -> MessageEdited:
        return MessageEdited(
            event_id=name,
            visitor="U1",
            occurred_at=T0 + timedelta(minutes=9),
            target=target,
            parts=(TextPart(text=text),),
            version=version,
        )

    target = "m-U1-an apple"
    await world.happens(edit("e1", target, "a cherry", 1), edit("e2", target, "a damson", 2))
    assert await messages(world, q="damson") == ["a damson"]
    assert await messages(world, q="apple") == await messages(world, q="cherry") == []
    gone = MessageDeleted(
        event_id="d1", visitor="U1", occurred_at=T0 + timedelta(hours=1), target="m-U1-a banana"
    )
    assert await messages(world, q="banana") == ["a banana"]
    await world.happens(gone)
    assert await messages(world, q="banana") == []
    early = edit("e3", "m-U1-an elder", "a fig", 1)
    await world.happens(early)
    await world.writes("an elder", at=T0 + timedelta(minutes=2))
    assert await messages(world, q="fig") == ["a fig"]
    assert await messages(world, q="elder") == []


async def test_d23_notes_captions_files_and_buttons_are_found(world: World) -> None:
    session = await world.writes("hello")
    parts = (
        MediaPart(kind="file", name="Quarterly_report.pdf"),
        TextPart(text="a caption"),
        ActionPart(title="Track my parcel"),
    )
    event = MessageReceived(
        event_id="x", visitor="U1", occurred_at=T0, message_id="mx", parts=parts
    )
    followed = ContactChanged(event_id="y", visitor="U1", occurred_at=T0, change="follow")
    await world.happens(event, followed)
    headers = {"Idempotency-Key": "n1"}
    body = {"text": "remember the umbrella"}
    path = f"/sessions/{session.id}/notes"
    assert (await world.call("POST", path, "amy", body=body, headers=headers)).status == 201
    for typed in ("quarterly", "caption", "parcel", "umbrella"):
        assert len(await messages(world, q=typed)) == 1, typed
    assert await messages(world, q="followed") == []
    found = await world.get("/search", "amy", q="umbrella")
    [hit] = found["messages"]["items"]
    assert (hit["kind"], hit["session"], hit["sender"]["name"]) == ("note", session.id, "Amy")
    assert hit["contact"] == {"id": session.contact, "name": "Visitor U1"}
    [(start, end)] = hit["excerpt"]["ranges"]
    assert hit["excerpt"]["text"][start:end] == "umbrella"
    note = f"{path}/{hit['id']}"
    assert (await world.call("PATCH", note, "amy", body={"text": "take a coat"})).status == 200
    assert (await messages(world, q="umbrella"), await messages(world, q="coat")) == (
        [],
        ["take a coat"],
    )
    found = await world.get("/sessions", q="coat")
    assert [row["id"] for row in found["items"]] == [session.id]
    assert (await world.call("DELETE", note, "amy")).status == 200
    assert await messages(world, q="coat") == []


def person(n: int, workspace: str, **facts: Any) -> Contact:
    at = T0 + timedelta(minutes=n)
    return keyed(Contact(id=f"con-{n}", workspace=workspace, first_seen_at=at, **facts))


async def contacts(world: World, who: str = "amy", **query: Any) -> list[str]:
    found = await world.get("/search", who, kind="contacts", **query)
    return [hit["name"] for hit in found["contacts"]["items"]]


async def test_d23_contacts_are_found_by_words_number_address_reference_and_tag(
    world: World,
) -> None:
    home = world.workspace
    await world.store.insert_many(
        CONTACTS,
        [
            person(1, home, name="Ann Müller", phone="+44 20 7946 0958", tags=("t1",)),
            person(2, home, name="Anna Muller", email="Anna@Example.org", tags=("t1", "t2")),
            person(3, home, name="Bob", ref="CRM-00123", fields={"plan": "gold"}),
            person(4, home, name="Old Ann", merged_into="con-1", tags=("t1",)),
            person(5, world.other, name="Ann Elsewhere", phone="+44 20 7946 0958"),
        ],
    )
    cases: dict[str, tuple[dict[str, str], list[str]]] = {
        "by the beginning of a name, newest first": ({"q": "mül"}, ["Anna Muller", "Ann Müller"]),
        "by a whole name": ({"q": "ann mül"}, ["Ann Müller"]),
        "by number": ({"q": "0044 20 7946 0958"}, ["Ann Müller"]),
        "by number in its country": ({"phone": "(020) 7946-0958"}, ["Ann Müller"]),
        "by another number": ({"phone": "+44 20 7946 0959"}, []),
        "by no number": ({"phone": "abc"}, []),
        "by address": ({"email": "anna@example.ORG"}, ["Anna Muller"]),
        "by address, typed": ({"q": "anna@exam"}, ["Anna Muller"]),
        "by reference": ({"q": "crm-00123"}, ["Bob"]),
        "by an own field": ({"q": "gold"}, ["Bob"]),
        "by a tag": ({"tag": "t1"}, ["Anna Muller", "Ann Müller"]),
        "by two tags": ({"tag": "t1,t2"}, ["Anna Muller"]),
        "by more tags than the store takes": ({"tag": f"t1,t2,{MANY}"}, []),
        "by a word and more tags than the store takes": ({"q": "mul", "tag": f"t1,{MANY}"}, []),
        "by a tag and a word": ({"tag": "t1", "q": "müller"}, ["Anna Muller", "Ann Müller"]),
        "by when they were first seen": (
            {"from": "2026-03-01T09:02:00Z", "to": "2026-03-01T09:03:00Z"},
            ["Anna Muller"],
        ),
    }
    for sentence, (query, expected) in cases.items():
        assert await contacts(world, **query) == expected, sentence
    for sentence, (query, expected) in cases.items():
        if query.keys() == {"q"}:
            page = await world.get("/contacts", **query)
            assert [row["name"] for row in page["items"]] == expected, sentence
    page = await world.get("/contacts", q="mul", limit=1, total="true")
    assert page["total"] == {"count": 2, "complete": True}
    rest = await world.get("/contacts", q="mul", limit=1, cursor=page["next"])
    names = [row["name"] for row in (*page["items"], *rest["items"])]
    assert (names, rest["next"]) == (["Anna Muller", "Ann Müller"], None)
    besides = (
        {"email": "anna@example.org"},
        {"has_email": "true"},
        {"first_seen_from": "2026-03-01T09:02:00Z"},
    )
    for query in besides:
        found = await world.get("/contacts", q="mul", **query)
        assert [row["name"] for row in found["items"]] == ["Anna Muller"], query
    found = await world.get("/contacts", q="bob", email="anna@example.org")
    assert found["items"] == []
    assert await contacts_matching(world.store, home, "MULL") == (("con-1", "con-2"), False)


async def test_d23_messages_are_narrowed_by_contact_place_time_and_direction(
    told: World,
) -> None:
    session = await told.writes("invoice over the web", visitor="W1", channel="web", at=T0)
    answer = await told.send(session.id, "your invoice")
    assert answer.status == 201, answer.body
    port = told.store
    contact = await port.get(CONTACTS, told.workspace, session.contact)
    assert contact is not None
    known = msgspec.structs.replace(contact, phone="+49 30 1234567", tags=("vip",))
    await port.replace(CONTACTS, keyed(known))
    web, account = "invoice over the web", told.slug("web")
    cases: dict[str, tuple[dict[str, str], list[str]]] = {
        "channel": ({"q": "invoice", "channel": "web"}, ["your invoice", web]),
        "account": ({"q": "invoice", "account": account}, ["your invoice", web]),
        "no such account": ({"q": "invoice", "account": "none"}, []),
        "direction": ({"q": "invoice", "direction": "out"}, ["your invoice"]),
        "phone": ({"q": "invoice", "phone": "030 1234567"}, ["your invoice", web]),
        "phone alone": ({"phone": "+49301234567", "direction": "in"}, [web]),
        "tag": ({"q": "over", "tag": "vip"}, [web]),
        "another tag": ({"q": "over", "tag": "late"}, []),
        "time": (
            {"from": "2026-03-01T09:00:00Z", "to": "2026-03-01T09:02:00Z", "q": "invoice order"},
            [SAID[0][1]],
        ),
        "time alone": (
            {"from": "2026-03-01T09:05:00Z", "to": "2026-03-01T09:06:00Z"},
            [SAID[5][1]],
        ),
    }
    for sentence, (query, expected) in cases.items():
        assert await messages(told, **query) == expected, sentence


async def test_d23_nothing_is_found_of_another_workspace_or_out_of_scope(told: World) -> None:
    await told.writes("a secret invoice", workspace=told.other)
    await told.writes("an invoice over the web", visitor="W1", channel="web")
    assert "a secret invoice" not in await messages(told, q="invoice")
    assert await contacts(told, q="Visitor W1") == ["Visitor W1"]
    where = {"email_key": told.email("bob")}
    [bob] = await told.store.find(AGENTS, told.workspace, where, Page(order="email", limit=1))
    await told.store.replace(AGENTS, msgspec.structs.replace(bob, channels=("web",)))
    assert await messages(told, "bob", q="invoice") == ["an invoice over the web"]
    assert await contacts(told, "bob", q="visitor") == ["Visitor W1"]
    assert await messages(told, "bob", q="receipts") == []


async def test_d23_the_inbox_is_narrowed_to_sessions_with_a_message_or_of_a_contact(
    told: World,
) -> None:
    ann = await told.writes("once more", visitor="Ann")
    bob = await told.writes("once more", visitor="Bob")
    web = await told.writes("an invoice over the web", visitor="W1", channel="web")
    await told.writes("a secret invoice", workspace=told.other)
    cases: dict[str, tuple[dict[str, str], list[str]]] = {
        "what somebody wrote": ({"q": "strasse"}, [ann.id]),
        "one session, however often": ({"q": "invoice", "channel": "line"}, [bob.id, ann.id]),
        "the newest change first": ({"q": "invoice"}, [web.id, bob.id, ann.id]),
        "who somebody is": ({"q": "visitor bob"}, [bob.id]),
        "another filter besides": ({"q": "invoice", "account": told.slug("web")}, [web.id]),
        "where nobody has it": ({"q": "invoice", "assignee": "me"}, []),
        "signs alone": ({"q": "!?"}, []),
        "nothing has it": ({"q": "invoice umbrella"}, []),
    }
    for sentence, (query, expected) in cases.items():
        page = await told.get("/sessions", **query)
        assert [row["id"] for row in page["items"]] == expected, sentence
        assert page["complete"], sentence
    counts = (await told.get("/sessions", q="invoice", channel="web"))["counts"]
    assert counts["channels"] == {"line": 2, "web": 1}
    assert (counts["lists"]["bot_hosted"], counts["with"]["bot"]) == (1, 1)
    seen: list[str] = []
    asked: dict[str, Any] = {"q": "invoice", "limit": "1", "counts": "false"}
    while len(seen) < 3:
        page = await told.get("/sessions", **asked)
        seen += [row["id"] for row in page["items"]]
        asked["cursor"] = page["next"]
    assert (seen, asked["cursor"]) == ([web.id, bob.id, ann.id], None)
    where = {"email_key": told.email("bob")}
    [agent] = await told.store.find(AGENTS, told.workspace, where, Page(order="email", limit=1))
    await told.store.replace(AGENTS, msgspec.structs.replace(agent, channels=("web",)))
    page = await told.get("/sessions", "bob", q="invoice")
    assert [row["id"] for row in page["items"]] == [web.id]
    assert page["counts"]["channels"] == {"web": 1}


async def test_d23_sessions_are_found_by_texts_as_they_stand_now(told: World) -> None:
    ann = await told.writes("a first phrase", visitor="Eve", at=T0)
    at = T0 + timedelta(hours=1)

    async def found(text: str) -> list[str]:
        return [row["id"] for row in (await told.get("/sessions", q=text))["items"]]

    assert await found("phrase") == [ann.id]
    target = "m-Eve-a first phrase"
    parts = (TextPart(text="a first word"),)
    await told.happens(
        MessageEdited(event_id="e1", visitor="Eve", occurred_at=at, target=target, parts=parts)
    )
    assert (await found("phrase"), await found("word")) == ([], [ann.id])
    await told.happens(MessageDeleted(event_id="e2", visitor="Eve", occurred_at=at, target=target))
    assert (await found("word"), await found("first")) == ([], [])


async def test_d23_counts_and_pages_of_what_is_found_are_those_of_a_look_at_each() -> None:
    rows = fixtures()
    for wanted in combinations()[::97]:
        meant = scan(rows, wanted)
        found: list[str] = []
        after = None
        while True:
            page = page_of(rows, wanted, after=after, limit=7)
            found += [row.id for row in page.rows]
            if (after := page.next) is None:
                break
        assert found == [row.id for row in meant], wanted
        facets = facets_of(rows, wanted)
        for name, count in facets.lists.items():
            assert count == len(scan(rows, replace(wanted, lists=(name,)))), wanted
        for name in {row.account for row in rows}:
            count = len(scan(rows, replace(wanted, accounts=(name,))))
            assert facets.accounts.get(name, 0) == count, wanted


async def test_d23_a_walk_finds_what_a_look_at_everything_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few entries a step: most searches end with a place to go on from."""
    monkeypatch.setattr(search_walk, "_STEPS", (4, 8))
    monkeypatch.setattr(search_walk, "MOST_SPELLINGS", 3)
    monkeypatch.setattr(search_walk, "COMMON", 12)
    draw = random.Random(23)  # noqa: S311  # the same in every run
    vocabulary = ("ab", "abc", "abx", "ac", "b", "bc", "c", "ca", "cb", "da", "020 7946 0958")
    rows = []
    for n in range(120):
        text = " ".join(draw.choices(vocabulary, range(11, 0, -1), k=draw.randrange(4)))
        entry = Message(
            id=f"m{draw.randrange(10**9):09}",
            workspace="acme",
            account="a",
            key=f"k{n}",
            session="s",
            visitor="v",
            kind="message",
            occurred_at=T0 + timedelta(seconds=n // 4),
            received_at=T0,
            sequence=n % 3,
            parts=(TextPart(text=text),),
        )
        entry.words = words_said(entry)
        rows.append(entry)
    newest = sorted(rows, key=search_walk.MESSAGE_GROUND.place, reverse=True)
    questions = ["a", "ab", "b c", "ab c", "abc b da", "c ab", "020 7946 0958", "d", "x", "ab x"]
    async with open_store(f"sqlite:///{tmp_path}/store.db", COLLECTIONS) as store:
        assert not await store.insert_many(MESSAGES, rows)
        for text in questions:
            asked = query_words(text)
            for until in (None, T0 + timedelta(seconds=17)):
                found: list[str] = []
                after, pages = None, 0
                while True:
                    page = await messages_found(
                        store, "acme", Sought(asked=asked, until=until), after=after, limit=3
                    )
                    found += [row.id for row in page.rows]
                    after, pages = page.next, pages + 1
                    if after is None:
                        break
                    assert pages < 200
                meant = [
                    row.id
                    for row in newest
                    if asked.found_in(row.words) and (until is None or row.occurred_at < until)
                ]
                assert found == meant, (text, until)


async def listed(world: World) -> None:
    """Have the workspace known to who goes through all of them."""
    home = world.workspace
    entry = DirectoryEntry(
        id=f"workspace:{home}", workspace=SYSTEM, kind="workspace", targets=(home,)
    )
    await world.store.delete(DIRECTORY, SYSTEM, entry.id)
    await world.store.insert(DIRECTORY, entry)


async def test_d23_migrate_gives_older_documents_what_they_are_found_by(told: World) -> None:
    store, home = told.store, told.workspace
    await listed(told)
    rows = await store.find(MESSAGES, home, {}, Page(order="at", limit=100))
    await store.replace_many(MESSAGES, [msgspec.structs.replace(row, words=()) for row in rows])
    people = await store.find(CONTACTS, home, {}, Page(order="seen", limit=100))
    await store.replace_many(CONTACTS, [msgspec.structs.replace(one, words=()) for one in people])
    assert await messages(told, q="receipts") == await contacts(told, q="visitor") == []
    done = [f async for f in fill(store) if f.written]
    assert sorted(one.collection for one in done) == ["contacts", "messages"]
    assert sum(one.written for one in done) == len(people) + len(SAID)
    assert await messages(told, q="receipts") == [SAID[2][1]]
    assert len(await contacts(told, q="visitor")) == len(people)
    assert not any([f.written async for f in fill(store)])


async def test_d23_migrate_mends_what_an_older_version_changes_meanwhile(told: World) -> None:
    store, home = told.store, told.workspace
    await listed(told)
    assert not any([f.written async for f in fill(store)])
    long_ago = await store.insert(
        CONTACTS, person(-5000, home, name="Ann", email="old@example.org")
    )
    changed = msgspec.structs.replace(long_ago, name="Anouk", email="new@example.org")
    await store.replace(CONTACTS, changed)  # as an older one does, which knows nothing of words
    assert await contacts(told, email="new@example.org") == []
    assert [f.written async for f in fill(store) if f.written] == [1]
    assert await contacts(told, email="new@example.org") == await contacts(told, q="anouk")


async def test_b31_migrate_marks_whom_an_older_version_found_to_be_one_person(told: World) -> None:
    store, home = told.store, told.workspace
    await listed(told)
    people = {one.name: one for one in await store.find(CONTACTS, home, {}, Page(order="seen"))}
    ann, bob, cem = (people[f"Visitor {name}"] for name in ("Ann", "Bob", "Cem"))
    where = {"contact": bob.id}
    [identity] = await store.find(IDENTITIES, home, where, Page(order="contact", limit=2))
    await store.replace(IDENTITIES, msgspec.structs.replace(identity, contact=ann.id))
    await store.insert(CONTACTS, person(1, home, name="By Hand"))
    assert [(f.collection, f.written) async for f in fill(store) if f.written] == [
        ("united contacts", 1)
    ]
    now = await store.get_many(CONTACTS, home, [bob.id, cem.id, "con-1"])
    assert [now[id_].merged_into for id_ in (bob.id, cem.id, "con-1")] == [ann.id, None, None]
    assert await contacts(told, q="bob") == []
    shown = {row["id"] for row in (await told.get("/contacts"))["items"]}
    assert shown == {one.id for one in people.values()} - {bob.id} | {"con-1"}
    assert not any([f.written async for f in fill(store)])

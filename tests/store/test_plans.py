"""SQLite walks the index that a query names: it never sorts, and never reads a whole table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libs.common.documents import CONTACTS, MESSAGES, SESSIONS
from libs.common.store.api import All, Collection, Document, In, Page, Range, Where
from libs.common.store.fields import Spec
from libs.common.store.lite_schema import prepare
from libs.common.store.lite_sql import Statement, Statements, read_many
from libs.common.store.query import parse_find, parse_group, parse_values, parse_where
from tests.store.contract import NOON, THINGS, message, session

_WHOLE_TABLE = re.compile(r"SCAN ([mckgt]|things|sessions|messages|contacts)\b")
LATER = (NOON, "ses_1")
PAGES: dict[str, tuple[Collection[Any], Where, Page]] = {
    "a console list": (SESSIONS, {"list": "assigned"}, Page(order="list", descending=True)),
    "its next page": (
        SESSIONS,
        {"list": "assigned"},
        Page(order="list", descending=True, after=("assigned", *LATER)),
    ),
    "a list with filters": (
        SESSIONS,
        {"list": "assigned", "channel": "line", "assignee_ids": "amy"},
        Page(order="list", descending=True),
    ),
    "an order, even where another index is narrower": (
        SESSIONS,
        {"open_key": "line-1|U1"},
        Page(order="updated"),
    ),
    "an agent's sessions": (
        SESSIONS,
        {"assignee_ids": "amy", "list": "assigned"},
        Page(order="assignee", after=("amy", *LATER)),
    ),
    "open sessions by key": (SESSIONS, {"open_key": In(("a", "b"))}, Page(order="open")),
    "what is to be published": (SESSIONS, {"outbox_since": Range(lt=NOON)}, Page(order="outbox")),
    "all that is to be published": (SESSIONS, {}, Page(order="outbox")),
    "a message by a provider's id": (
        MESSAGES,
        {"account": "line-1", "provider_ids": "p1"},
        Page(order="provider"),
    ),
    "messages with a word": (
        MESSAGES,
        {"words": "invoice"},
        Page(order="words", descending=True, after=("invoice", NOON, 1, "m")),
    ),
    "messages with several words, of a time, on some accounts": (
        MESSAGES,
        {
            "words": All(("invoice", "paid"), ("ju",)),
            "occurred_at": Range(NOON, NOON),
            "account": In(("a", "b")),
        },
        Page(order="words", descending=True, skip=400),
    ),
    "messages with a word that begins so, newest first": (
        MESSAGES,
        {"words": All((), ("i",)), "occurred_at": Range(lt=NOON)},
        Page(order="at", descending=True),
    ),
    "what a session said with a word": (
        MESSAGES,
        {"timeline": "s", "words": All(("invoice",))},
        Page(order="timeline", descending=True),
    ),
    "contacts with words and tags": (
        CONTACTS,
        {"words": All(("ann",), ("mu",)), "tags": All(("t1", "t2"))},
        Page(order="words", descending=True),
    ),
    "contacts with a tag, newest first": (
        CONTACTS,
        {"tags": All(("t1", "t2"))},
        Page(order="tagged", descending=True),
    ),
    "contacts with an address": (CONTACTS, {"email_key": "a@b.c"}, Page(order="email")),
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    yield opened
    opened.close()


def plan(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    sql, values = statement
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def assert_served(steps: list[str]) -> None:
    assert not [step for step in steps if _WHOLE_TABLE.match(step)], steps
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER" in step], steps


@pytest.mark.parametrize(("collection", "where", "page"), PAGES.values(), ids=PAGES)
def test_a_page_is_a_walk_of_its_index(
    connection: sqlite3.Connection, collection: Collection[Any], where: Where, page: Page
) -> None:
    spec = Spec(collection)
    prepare(connection, spec)
    steps = plan(connection, Statements(spec).find(parse_find(spec, "acme", where, page)))
    assert_served(steps)
    assert [step for step in steps if f"{collection.name}.{page.order} (workspace=?" in step], steps


def test_reads_and_writes_by_key_search_for_the_key(connection: sqlite3.Connection) -> None:
    cases: tuple[tuple[Collection[Any], Document], ...] = (
        (SESSIONS, session(1)),
        (MESSAGES, message(1)),
    )
    for collection, doc in cases:
        spec = Spec(collection)
        prepare(connection, spec)
        statements = Statements(spec)
        row = statements.row(doc)
        assert_served(plan(connection, (read_many(spec.name), ["acme", '["a"]'])))
        assert_served(plan(connection, statements.update([row, row], "a", "b")))
        for statement in statements.drop_entries([("acme", "a"), ("acme", "b")]):
            assert_served(plan(connection, statement))


def test_counts_search_inside_the_workspace(connection: sqlite3.Connection) -> None:
    spec = Spec(THINGS)
    prepare(connection, spec)
    statements = Statements(spec)
    wheres: tuple[Where, ...] = ({}, {"on": True}, {"tags": "x"}, {"tags": "x", "size": 1})
    for where in wheres:
        assert_served(plan(connection, statements.count(parse_where(spec, "acme", where), 1000)))
        for by in ("on", "tags"):
            assert_served(plan(connection, statements.group(*parse_group(spec, "acme", where, by))))


def test_d23_words_are_listed_and_counted_in_their_index(connection: sqlite3.Connection) -> None:
    specs: tuple[Spec[Any], ...] = (Spec(MESSAGES), Spec(CONTACTS))
    for spec in specs:
        prepare(connection, spec)
        statements = Statements(spec)
        wanted = parse_values(spec, "acme", "words", Range("inv", "inw"), 25)
        listed = plan(connection, statements.values(wanted))
        where: Where = {"words": "invoice"}
        counted = plan(connection, statements.count(parse_where(spec, "acme", where), 1000))
        for steps in (listed, counted):
            assert not [step for step in steps if step.startswith(f"SCAN {spec.name}")], steps
            assert [s for s in steps if f"{spec.name}.words (workspace=? AND x_words" in s], steps

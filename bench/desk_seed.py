"""A workspace of many sessions, messages and contacts, the same in every run.

It is written past the store's queue, without waiting for the disk: only what is read is measured.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from libs.common.contact_keys import keyed
from libs.common.documents import (
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    Assignee,
    Contact,
    Identity,
    LastMessage,
    ListName,
    Message,
    Session,
)
from libs.common.events import Profile, TextPart
from libs.common.said import words_said
from libs.common.store.api import Collection, Document
from libs.common.store.fields import Spec
from libs.common.store.lite_sql import Statements
from libs.common.store.lite_write import insert_many

WORKSPACE = "bench"
AGENTS = ("agt-bench", "agt-two", "agt-three")
CHANNELS = ("messenger", "line", "whatsapp", "telegram", "web")
ACCOUNTS = tuple((f"{channel}-{n}", channel) for channel in CHANNELS for n in range(2))
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=180)
COMMON = ("please", "order", "when", "hello", "thanks", "delivery", "invoice", "number")
VOCABULARY = 8_000
RARE_EVERY = 20_000
"""One message of so many has a word that few have."""
TAGS = ("tag-vip", "tag-late", "tag-new")
_CHUNK = 2_000
_SYLLABLES = ("ka", "ro", "mi", "ten", "sol", "va", "ne", "lu", "dor", "pi", "qua", "shi", "be")


class Sizes(msgspec.Struct, frozen=True):
    """How much there is."""

    sessions: int = 10_000
    messages: int = 100_000
    contacts: int = 10_000


def words() -> list[str]:
    """Return the vocabulary, the common words first."""
    made = [
        a + b + c + d
        for a in _SYLLABLES
        for b in _SYLLABLES
        for c in _SYLLABLES
        for d in ("", "n", "s", "ra")
    ]
    return [*COMMON, *made[: VOCABULARY - len(COMMON)]]


def seed(path: Path, sizes: Sizes) -> None:
    """Fill the store at *path*, whose tables are there."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")
    connection.execute("PRAGMA wal_autocheckpoint = 20000")
    try:
        _put(connection, CONTACTS, _contacts(sizes))
        _put(connection, IDENTITIES, _identities(sizes))
        _put(connection, SESSIONS, _sessions(sizes))
        _put(connection, MESSAGES, _messages(sizes))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def contact_of(session: int, sizes: Sizes) -> int:
    """Return the number of a session's contact."""
    return session % sizes.contacts


def session_of(message: int, sizes: Sizes) -> int:
    """Return the number of a message's session: all get some, their messages in a row."""
    return message * sizes.sessions // sizes.messages


def session_id(number: int) -> str:
    """Return the id of a session."""
    return f"ses_{number:020d}"


def name_of(number: int) -> str:
    """Return the name of a contact."""
    vocabulary = _NAMES
    return f"{vocabulary[number % 900].title()} {vocabulary[number // 900 % 1500].title()}"


def phone_of(number: int) -> str:
    """Return the telephone number of a contact."""
    return f"+44 20 7{number:07d}"


_NAMES = words()[len(COMMON) :]


def _put(
    connection: sqlite3.Connection, collection: Collection[Any], docs: Iterator[Document]
) -> None:
    statements = Statements(Spec(collection))
    while chunk := list(islice(docs, _CHUNK)):
        connection.execute("BEGIN IMMEDIATE")
        refused = insert_many(statements, [statements.row(doc) for doc in chunk], connection)
        connection.execute("COMMIT")
        if refused:
            raise RuntimeError(f"{collection.name}: {refused}")


def _contacts(sizes: Sizes) -> Iterator[Contact]:
    for n in range(sizes.contacts):
        first_seen = T0 + SPAN * n / sizes.contacts
        yield keyed(
            Contact(
                id=f"con_{n:020d}",
                workspace=WORKSPACE,
                rev=1,
                name=name_of(n),
                phone=phone_of(n),
                email=f"person{n}@example.org",
                tags=TAGS[: n % 4],
                fields={"plan": ("free", "plus", "pro")[n % 3]},
                first_seen_at=first_seen,
            )
        )


def _identities(sizes: Sizes) -> Iterator[Identity]:
    for n in range(sizes.contacts):
        account, channel = ACCOUNTS[n % len(ACCOUNTS)]
        yield Identity(
            id=f"idn_{n:020d}",
            workspace=WORKSPACE,
            rev=1,
            account=account,
            channel=channel,
            visitor=f"visitor-{n}",
            contact=f"con_{n:020d}",
            profile=Profile(name=name_of(n)),
            first_seen_at=T0,
        )


def _sessions(sizes: Sizes) -> Iterator[Session]:
    for n in range(sizes.sessions):
        person = contact_of(n, sizes)
        account, channel = ACCOUNTS[person % len(ACCOUNTS)]
        opened = T0 + SPAN * n / sizes.sessions
        is_open = n >= sizes.sessions - min(sizes.sessions, sizes.contacts) // 10
        place: ListName = ("unassigned", "assigned", "bot_hosted")[n % 3] if is_open else "ended"
        agent = AGENTS[n % len(AGENTS)] if place in {"assigned", "ended"} else None
        yield Session(
            id=session_id(n),
            workspace=WORKSPACE,
            rev=1,
            account=account,
            channel=channel,
            visitor=f"visitor-{person}",
            contact=f"con_{person:020d}",
            contact_name=name_of(person),
            list=place,
            open_key=f"{account}|visitor-{person}" if is_open else None,
            created_at=opened,
            updated_at=opened + timedelta(hours=1),
            ended_at=None if is_open else opened + timedelta(hours=1),
            owner=agent,
            assignees=(Assignee(agent=agent, since=opened),) if agent else (),
            assignee_ids=(agent,) if agent else (),
            bot=place == "bot_hosted",
            inbound=sizes.messages // sizes.sessions // 2,
            entries=sizes.messages // sizes.sessions,
            queue_key=f"5|{opened.isoformat()}" if place == "unassigned" else None,
            waiting_since=opened if place == "unassigned" else None,
            last_message=LastMessage(
                id=f"msg_{n}", at=opened, direction="in", sender="visitor", excerpt="hello"
            ),
        )


def _messages(sizes: Sizes) -> Iterator[Message]:
    draw = random.Random(7)  # the same in every run
    vocabulary = words()
    weights = [1 / (n + 2) for n in range(len(vocabulary))]
    pool = draw.choices(vocabulary, weights, k=400_000)
    for n in range(sizes.messages):
        session = session_of(n, sizes)
        person = contact_of(session, sizes)
        account, _ = ACCOUNTS[person % len(ACCOUNTS)]
        start = draw.randrange(len(pool) - 16)
        text = " ".join(pool[start : start + 6 + start % 9])
        if n % RARE_EVERY == RARE_EVERY // 2:
            text += f" serial zyx{n}"
        at = T0 + SPAN * n / sizes.messages
        entry = Message(
            id=f"msg_{n:020d}",
            workspace=WORKSPACE,
            rev=1,
            account=account,
            key=f"e{n}",
            session=session_id(session),
            timeline=session_id(session),
            visitor=f"visitor-{person}",
            kind="message",
            occurred_at=at,
            received_at=at,
            sequence=n + 1,
            number=n - session * sizes.messages // sizes.sessions + 1,
            direction="in" if n % 2 else "out",
            sender="visitor" if n % 2 else "agent",
            parts=(TextPart(text=text),),
            provider_ids=(f"m.{n}",),
        )
        entry.words = words_said(entry)
        yield entry


def total(sizes: Sizes) -> Iterable[str]:
    """Say how much there is."""
    return (
        f"{sizes.sessions:,} sessions",
        f"{sizes.messages:,} messages",
        f"{sizes.contacts:,} contacts",
    )

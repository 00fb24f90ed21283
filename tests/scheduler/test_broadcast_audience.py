"""Whom an audience reaches, and where; counted by what gathers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.audience import Address, Known, Reached, count, places_of, reach, slice_of
from libs.common.documents import (
    ACCOUNTS,
    COLLECTIONS,
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    AccountDocument,
    Contact,
    Identity,
    Message,
    Session,
)
from libs.common.events import ContactChange, ContactChanged
from libs.common.later import Audience
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.strays import waiting_key

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACCOUNTS_THERE = {"shop": "line", "wa": "whatsapp", "page": "messenger", "posts": "fb_comment"}


def contact(id_: str = "con_1", **more: Any) -> Contact:
    return Contact(id=id_, workspace="w", first_seen_at=NOW, **more)


def identity(account: str, visitor: str = "U1", of: str = "con_1", **more: Any) -> Identity:
    return Identity(
        id=f"idn_{account}_{visitor}",
        workspace="w",
        account=account,
        channel=ACCOUNTS_THERE.get(account, "line"),
        visitor=visitor,
        contact=of,
        first_seen_at=NOW,
        **more,
    )


def session(account: str, hours_ago: float, visitor: str = "U1", **more: Any) -> Session:
    at = NOW - timedelta(hours=hours_ago)
    return Session(
        id=f"ses_{account}_{hours_ago}",
        workspace="w",
        account=account,
        channel=ACCOUNTS_THERE.get(account, "line"),
        visitor=visitor,
        contact="con_1",
        list=more.pop("list", "ended"),
        open_key=None,
        created_at=at,
        updated_at=at,
        last_inbound_at=at,
        **more,
    )


TWO = (session("shop", 5), session("wa", 1))
WHERE: dict[str, tuple[Audience, Known, str]] = {
    "where they wrote last": (Audience(), Known(contact(), (), TWO), "wa/U1"),
    "only the allowed account": (
        Audience(accounts=("shop",)),
        Known(contact(), (), TWO),
        "shop/U1",
    ),
    "only the allowed channel": (
        Audience(channels=("line",)),
        Known(contact(), (), TWO),
        "shop/U1",
    ),
    "nowhere allowed": (Audience(channels=("telegram",)), Known(contact(), (), TWO), ""),
    "a follower who never wrote": (Audience(), Known(contact(), (identity("shop"),)), "shop/U1"),
    "a conversation before a mere follow": (
        Audience(),
        Known(contact(), (identity("page"),), TWO[:1]),
        "shop/U1",
    ),
    "on an account that is gone": (Audience(), Known(contact(), (identity("old"),)), ""),
    "where they are not blocked": (
        Audience(),
        Known(contact(), (), (session("wa", 1, blocked=True), session("shop", 5))),
        "shop/U1",
    ),
    "blocked everywhere": (
        Audience(),
        Known(contact(), (), (session("wa", 1, blocked=True),)),
        "wa/U1 blocked",
    ),
    "blocked once, and back since": (
        Audience(),
        Known(contact(), (), (session("wa", 1), session("wa", 9, blocked=True))),
        "wa/U1",
    ),
    "blocked in the one that is open, not in a later one": (
        Audience(),
        Known(contact(), (), (session("wa", 9, list="unassigned", blocked=True), session("wa", 1))),
        "wa/U1 blocked",
    ),
    "below a public comment only where that is named": (
        Audience(),
        Known(contact(), (), (session("posts", 1),)),
        "",
    ),
    "below a public comment, named": (
        Audience(channels=("fb_comment",)),
        Known(contact(), (), (session("posts", 1),)),
        "posts/U1",
    ),
    "by the id that they have now": (
        Audience(),
        Known(
            contact(),
            (identity("wa", "old", became="new"), identity("wa", "new", was=("old",))),
            (session("wa", 1, visitor="old"),),
        ),
        "wa/new",
    ),
    "who wrote lately": (
        Audience(wrote_within_s=3600 * 2),
        Known(contact(), (), TWO),
        "wa/U1",
    ),
    "who wrote too long ago": (Audience(wrote_within_s=60), Known(contact(), (), TWO), ""),
    "a follower wrote never": (
        Audience(wrote_within_s=3600),
        Known(contact(), (identity("shop"),)),
        "",
    ),
    "a follower who has blocked us": (
        Audience(),
        Known(contact(), (identity("shop"),), (), frozenset({("shop", "U1")})),
        "shop/U1 blocked",
    ),
    "where they may be reached, before where they have blocked us": (
        Audience(),
        Known(contact(), (identity("shop"), identity("wa")), (), frozenset({("shop", "U1")})),
        "wa/U1",
    ),
    "any of the tags": (
        Audience(tags=("a", "b")),
        Known(contact(tags=("b",)), (), TWO),
        "wa/U1",
    ),
    "all of the tags": (
        Audience(tags=("a", "b"), match="all"),
        Known(contact(tags=("b",)), (), TWO),
        "",
    ),
    "without a tag": (
        Audience(tags=("a",), without=("x",)),
        Known(contact(tags=("a", "x")), (), TWO),
        "",
    ),
    "a language with its region": (
        Audience(languages=("en",)),
        Known(contact(language="en_GB"), (), TWO),
        "wa/U1",
    ),
    "another language that begins so": (
        Audience(languages=("en",)),
        Known(contact(language="eng"), (), TWO),
        "",
    ),
}


@pytest.mark.parametrize(("audience", "known", "expected"), WHERE.values(), ids=WHERE)
def test_b03_a_contact_is_reached_once(audience: Audience, known: Known, expected: str) -> None:
    found = reach(known, audience, places_of(audience, ACCOUNTS_THERE), NOW)
    assert _said(found) == expected


def _said(found: Reached | None) -> str:
    if found is None:
        return ""
    assert isinstance(found.address, Address)
    where = f"{found.address.account}/{found.address.visitor}"
    return f"{where} blocked" if found.blocked else where


# --- in the store ------------------------------------------------------------------------------

TAGS = (("a",), ("b",), ("a", "b"), ("a", "x"), ("b", "a", "x"), ())
"""Of contact n the tags n modulo 6; each is a follower of an account."""
PEOPLE = 24


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with open_store(store_url, COLLECTIONS) as store:
        for slug, channel in (("shop", "line"), ("wa", "whatsapp")):
            document = AccountDocument(
                id=slug, workspace="w", channel=channel, external_id=slug, enabled=slug == "shop"
            )
            await store.insert(ACCOUNTS, document)
        people = [contact(f"con_{n}", tags=TAGS[n % 6]) for n in range(PEOPLE)]
        await store.insert_many(CONTACTS, people)
        here = [identity("shop", f"U{n}", one.id) for n, one in enumerate(people)]
        await store.insert_many(IDENTITIES, here)
        await store.insert(CONTACTS, contact("con_off", tags=("a",)))
        await store.insert(IDENTITIES, identity("wa", "U1", "con_off"))
        yield store


AUDIENCES: dict[str, tuple[Audience, int]] = {
    "everybody who can be reached": (Audience(), PEOPLE),
    "one tag": (Audience(tags=("a",)), 16),
    "any of two, each once": (Audience(tags=("a", "b")), 20),
    "all of two": (Audience(tags=("a", "b"), match="all"), 8),
    "without one": (Audience(tags=("a", "b"), without=("x",)), 12),
    "nobody has it": (Audience(tags=("zzz",)), 0),
    "an account that is off": (Audience(accounts=("wa",)), 0),
}


@pytest.mark.parametrize(("audience", "expected"), AUDIENCES.values(), ids=AUDIENCES)
async def test_b03_the_dry_run_counts_whom_the_pages_give_once_each(
    store: Store, audience: Audience, expected: int
) -> None:
    counted = await count(store, "w", audience, NOW)
    assert (counted.total, counted.blocked) == (expected, 0)
    ids: list[str] = []
    after, pages = "", 0
    while True:
        found = await slice_of(store, "w", audience, after, NOW, limit=5)
        ids += [one.contact.id for one in found.reached]
        after, pages = found.cursor, pages + 1
        if not after:
            break
    assert len(ids) == len(set(ids)) == expected
    assert pages <= PEOPLE


FOLLOWED: dict[str, tuple[tuple[ContactChange, ...], int]] = {
    "follows": (("follow",), 0),
    "has blocked us": (("follow", "unfollow"), 1),
    "has come back": (("follow", "unfollow", "follow"), 0),
    "wants no more of one kind": (("follow", "opt_out"), 0),
}


@pytest.mark.parametrize(("changes", "blocked"), FOLLOWED.values(), ids=FOLLOWED)
async def test_b03_a_follower_who_never_wrote_and_has_blocked_us_counts_as_blocked(
    store: Store, changes: tuple[ContactChange, ...], blocked: int
) -> None:
    follower = identity("shop", "F1", "con_follower", strays=True)
    await store.insert(CONTACTS, contact("con_follower", tags=("followers",)))
    await store.insert(IDENTITIES, follower)
    await store.insert_many(MESSAGES, [_waits(n, change) for n, change in enumerate(changes)])
    audience = Audience(tags=("followers",))
    counted = await count(store, "w", audience, NOW)
    assert (counted.total, counted.blocked) == (1, blocked)
    [one] = (await slice_of(store, "w", audience, "", NOW)).reached
    assert (one.blocked, one.session) == (bool(blocked), None)


def _waits(n: int, change: ContactChange) -> Message:
    """Return what the router keeps of a change before there is a session."""
    at = NOW + timedelta(seconds=n)
    detail = "promotions" if change == "opt_out" else ""
    return Message(
        id=f"msg_{n}",
        workspace="w",
        account="shop",
        key=f"e{n}",
        session="",
        visitor="F1",
        kind="system",
        occurred_at=at,
        received_at=at,
        timeline=waiting_key("shop", "F1"),
        event=ContactChanged(
            event_id=f"e{n}", visitor="F1", occurred_at=at, change=change, detail=detail
        ),
    )

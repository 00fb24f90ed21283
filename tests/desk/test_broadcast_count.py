"""The dry run of an audience: what it counts is whom the scheduler gathers (B03)."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import MessageTemplate
from libs.common.documents import (
    ACCOUNTS,
    CONTACTS,
    IDENTITIES,
    SESSIONS,
    Contact,
    Identity,
    Session,
)
from libs.common.later import BROADCASTS, RECIPIENTS, Recipient
from libs.common.store.api import Page
from services.desk import broadcast_count
from services.scheduler.gather import gather
from tests.desk.test_tags import a_tag
from tests.desk.world import World

HOUR = timedelta(hours=1)
REACH = ("line", "whatsapp", "messenger", "fb_comment", "line+whatsapp", "never spoken to")
LANGUAGES = ("en-GB", "th")
AGO = (HOUR, 30 * HOUR)


async def people(world: World, tags: list[str]) -> None:
    """Store somebody of each kind: tags, where they are reached, language, when they wrote."""
    now = datetime.now(UTC)
    held = [(), (tags[0],), (tags[1],), (tags[0], tags[1])]
    contacts, identities, sessions = [], [], []
    kinds = itertools.product(held, REACH, LANGUAGES, AGO, (False, True))
    for n, (own, reach, language, ago, blocked) in enumerate(kinds):
        contact = f"con-{n:04}"
        contacts.append(
            Contact(
                id=contact,
                workspace=world.workspace,
                name=f"Name {n}",
                language=language,
                tags=own,
                first_seen_at=now,
            )
        )
        channels = ["line"] if reach == "never spoken to" else reach.split("+")
        for channel in channels:
            place: dict[str, Any] = {
                "workspace": world.workspace,
                "account": world.slug(channel),
                "channel": channel,
                "visitor": f"U{n}",
                "contact": contact,
            }
            identities.append(Identity(id=f"idn-{n}-{channel}", first_seen_at=now, **place))
            if reach == "never spoken to":
                continue
            sessions.append(
                Session(
                    id=f"ses-{n}-{channel}",
                    list="ended",
                    open_key=None,
                    created_at=now - ago,
                    updated_at=now - ago,
                    last_inbound_at=now - ago,
                    window_at=now - ago,
                    blocked=blocked,
                    **place,
                )
            )
    assert await world.store.insert_many(CONTACTS, contacts) == {}
    assert await world.store.insert_many(IDENTITIES, identities) == {}
    assert await world.store.insert_many(SESSIONS, sessions) == {}
    stored = await world.store.get(ACCOUNTS, world.workspace, world.slug("whatsapp"))
    assert stored is not None
    templates = (MessageTemplate(name="promo", language="en", body="Hi"),)
    await world.store.replace(ACCOUNTS, msgspec.structs.replace(stored, templates=templates))


async def gathered(world: World, audience: dict[str, Any]) -> list[Recipient]:
    """Start a broadcast, and let the scheduler's own code gather its recipients."""
    body = {"name": "News", "audience": audience, "text": "Hello", "start": True}
    made = await world.call("POST", "/broadcasts", "lena", body=body)
    assert made.status == 201, made.body
    doc = await world.store.get(BROADCASTS, world.workspace, made.json["id"])
    while doc is not None and not doc.gathered:
        doc = await gather(world.store, doc, "UTC", datetime.now(UTC))
    where = {"broadcast": made.json["id"]}
    return await world.store.find(
        RECIPIENTS, world.workspace, where, Page(order="broadcast", limit=1000)
    )


AUDIENCES: dict[str, tuple[dict[str, Any], int]] = {
    "everybody who is not met in public alone": ({}, 4 * 5 * 8),
    "one tag": ({"tags": ["{0}"]}, 2 * 5 * 8),
    "one of two tags": ({"tags": ["{0}", "{1}"], "match": "any"}, 3 * 5 * 8),
    "both tags": ({"tags": ["{0}", "{1}"], "match": "all"}, 5 * 8),
    "a tag without another": ({"tags": ["{0}"], "without": ["{1}"]}, 5 * 8),
    "nobody with a tag": ({"without": ["{0}", "{1}"]}, 5 * 8),
    "a channel": ({"channels": ["whatsapp"]}, 4 * 2 * 8),
    "public comments, by name": ({"channels": ["fb_comment"]}, 4 * 8),
    "an account": ({"accounts": ["{line}"]}, 4 * 3 * 8),
    "a language": ({"languages": ["en"]}, 4 * 5 * 4),
    "who wrote within a day": ({"wrote_within_s": 86_400}, 4 * 4 * 4),
    "all of this": (
        {"tags": ["{0}"], "channels": ["line"], "languages": ["th"], "wrote_within_s": 86_400},
        2 * 2 * 2,
    ),
}


@pytest.mark.parametrize(("audience", "total"), AUDIENCES.values(), ids=AUDIENCES)
async def test_b03_the_dry_run_counts_whom_the_scheduler_gathers(
    world: World, audience: dict[str, Any], total: int
) -> None:
    tags = [await a_tag(world, name) for name in ("red", "blue")]
    await people(world, tags)
    text = msgspec.json.encode({"audience": audience}).decode()
    for name, value in {"0": tags[0], "1": tags[1], "line": world.slug("line")}.items():
        text = text.replace(f'"{{{name}}}"', f'"{value}"')
    answer = await world.call("POST", "/broadcasts/count", "lena", raw=text.encode())
    assert answer.status == 200, answer.body
    found = answer.json
    rows = await gathered(world, msgspec.json.decode(text)["audience"])
    assert found["total"] == total == len(rows) == len({row.contact for row in rows})
    assert found["accounts"] == dict(Counter(row.account for row in rows))
    assert found["channels"] == dict(Counter(row.channel for row in rows))
    assert found["blocked"] == sum(row.state == "skipped" for row in rows)
    parts = [found[name] for name in ("free_text", "template_only", "closed", "blocked")]
    assert sum(parts) == total
    assert sum(found["reasons"].values()) == found["template_only"] + found["closed"]
    assert found["complete"] is True


OUTLOOKS: dict[str, tuple[str, dict[str, int]]] = {
    "LINE takes anything at any time": ("line", {"free_text": 64, "blocked": 32}),
    "WhatsApp takes templates after a day": (
        "whatsapp",
        {"free_text": 16, "template_only": 16, "blocked": 32},
    ),
    "Messenger takes nothing after a day": (
        "messenger",
        {"free_text": 8, "closed": 8, "blocked": 16},
    ),
}


@pytest.mark.parametrize(("channel", "expected"), OUTLOOKS.values(), ids=OUTLOOKS)
async def test_b03_it_tells_who_can_be_written_to_now(
    world: World, channel: str, expected: dict[str, int]
) -> None:
    await people(world, [await a_tag(world, name) for name in ("red", "blue")])
    body = {"audience": {"channels": [channel]}}
    found = (await world.call("POST", "/broadcasts/count", "lena", body=body)).json
    names = ("free_text", "template_only", "closed", "blocked")
    assert {name: found[name] for name in names if found[name]} == expected
    late = found["template_only"] + found["closed"]
    assert found["reasons"] == ({"window_closed": late} if late else {})


async def test_b03_a_counting_that_takes_too_long_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    rows = [
        Contact(id=f"con-{n:05}", workspace=world.workspace, first_seen_at=now) for n in range(600)
    ]
    assert await world.store.insert_many(CONTACTS, rows) == {}
    monkeypatch.setattr(broadcast_count, "COUNT_S", 0.0)
    found = (await world.call("POST", "/broadcasts/count", "lena", body={"audience": {}})).json
    assert (found["total"], found["complete"]) == (0, False)


async def test_b03_an_unknown_tag_is_named(world: World) -> None:
    body = {"audience": {"tags": ["none"]}}
    answer = await world.call("POST", "/broadcasts/count", "lena", body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, "audience.tags.0")

"""Every change leaves a record: asked of every route that may change something, one by one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from libs.common.documents import AUDIT
from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import LATER, MADE, OF_OURS, PUBLIC, Things, body_of, filled, things_of
from tests.desk.world import PASSWORD, World, open_world

TIMELINE = "the session's timeline says who did it, and when"
NOTHING = "nothing lasts of it"
OWN = "one's own sight of things, which nobody else is concerned by"
NOTE = "a note keeps its own versions, each with its author and time"
FILE = "a file says who uploaded it, and when"
NOT_RECORDED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "send",
            "note",
            "retry",
            "open",
            "claim",
            "assign",
            "bot",
            "end",
            "snooze",
            "unsnooze",
            "restore",
            "remove",
            "remove_one",
            "handoff",
            "tags",
            "bulk",
        ),
        TIMELINE,
    ),
    **dict.fromkeys(
        (
            "typing",
            "test_account",
            "termination_preview",
            "try_bot",
            "dry_run",
            "simulate",
            "count_audience",
            "alerts_test",
            "preview_standard_message",
            "render_standard_message",
            "logout",
        ),
        NOTHING,
    ),
    **dict.fromkeys(("read", "presence_say", "push_subscribe", "push_unsubscribe"), OWN),
    **dict.fromkeys(("patch_contact_note", "patch_session_note", "delete_session_note"), NOTE),
    "upload": FILE,
}
"""Routes that leave no entry, and why: reviewed one by one."""
UNTRIED: Mapping[str, str] = {
    "restore_settings": "takes the number of an older version: see its own test",
    "termination_undo": "takes the record of a sweep: see test_termination",
    "put_rules": "takes all rules: see test_rules",
    "order_rules": "takes all rules: see test_rules",
    "cancel_job": "takes a job that runs: see test_jobs",
    "import_contacts": "takes a file, and is recorded when it is over: see test_jobs",
    "import_standard_messages": "takes a file, and is recorded when it is over",
    "merge_contact": "takes two contacts: see test_merges",
    "unmerge_contact": "takes a merge: see test_merges",
    "erase_contact": "asks for a confirmation first: see test_erasure",
    "order_folders": "takes all folders",
    "order_folder": "takes all messages of a folder",
    "delete_broadcast": "takes a draft: see test_broadcasts",
    "delete_folder": "asks for a confirmation first",
    "send_test_webhook": "takes an endpoint that is on: see test_webhook_endpoints",
    "redeliver_webhook": "takes an endpoint that is on: see test_webhook_endpoints",
    "redeliver_webhooks": "takes an endpoint that is on: see test_webhook_endpoints",
}
"""Routes that no example here is taken by: what of theirs is recorded is shown elsewhere."""

CHANGES: Mapping[str, Any] = {
    "create_account": {"slug": f"web-{uuid.uuid4().hex[:8]}", "channel": "web"},
    "create_tag": {"name": "Another"},
    "patch_tag": {"name": "Renamed"},
    "create_contact_field": {"name": "another", "type": "text"},
    "patch_contact_field": {"label": "Renamed"},
    "create_folder": {"name": "Another"},
    "patch_folder": {"name": "Renamed"},
    "create_standard_message": {"title": "Another", "text": "hello"},
    "patch_filter": {"name": "Renamed"},
    "patch_alert_preferences": {"zone": "Asia/Tokyo"},
    "invite": {"email": "kim@elsewhere.example"},
    "create_bot": {"name": "B", "kind": "webhook", "url": "https://bot.example/hook"},
    "put_bot": {"name": "Other", "kind": "webhook", "url": "https://bot.example/hook"},
    "put_calendar": {"spans": [{"days": [1], "opens": "09:00", "closes": "17:00"}]},
    "put_rule": {"actions": [{"do": "tag", "tag": "other"}]},
    "create_broadcast": {"name": "More", "audience": {}, "text": "hello"},
    "change_password": {"old": PASSWORD, "new": f"{PASSWORD} 2"},
}
"""Bodies that are taken, and change something, where the matrix' own do not."""


def changing(route: Route, ours: Things) -> Any:
    """Return a body that changes something."""
    if route.name == "schedule":
        return {"session": ours["/sessions/"], "name": "Call", "text": "hi", "at": LATER}
    if route.name == "tag_contacts":
        return {"contacts": [ours["/contacts/"]], "add": [ours["/tags/"]]}
    return CHANGES.get(route.name) or body_of(route)


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """Desk without a limit of requests."""
    async with open_world(nats_url, ready_url, requests_per_minute=0) as made:
        yield made


FIRST = ("end_login", "add_contact_tag", "take_contact_tag", "tag_contacts")
LAST = ("end_logins", "change_password")


def order(route: Route) -> tuple[int, bool]:
    """Return what comes first: what others undo, and then all but what deletes."""
    if route.name in FIRST:
        return FIRST.index(route.name) - len(FIRST), False
    return (LAST.index(route.name) + 1 if route.name in LAST else 0), route.method == "DELETE"


async def test_d24_every_route_that_changes_something_leaves_a_record(world: World) -> None:
    ours = await things_of(world, "olga")
    for _ in range(2):  # one of them to end by itself, one with all others
        await MADE["/me/sessions/"](world, "olga", ours, "/me/sessions/")
    wrong = []
    for route in sorted((r for r in ROUTES if r.method != "GET"), key=order):
        if route.name in PUBLIC or route.name in NOT_RECORDED or route.name in UNTRIED:
            continue
        is_ours = route.path.partition("{")[0] in OF_OURS or "{" not in route.path
        path = route.path if is_ours else filled(route.path, ours)
        before = await world.store.count(AUDIT, world.workspace, {}, limit=1000)
        who = "olga's login" if route.path.startswith(("/me", "/tokens")) else "olga"
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answer = await world.call(
            route.method, path, who, body=changing(route, ours), headers=headers
        )
        if answer.status >= 300:
            wrong.append(f"{route.name}: {answer.status} {answer.body.decode()[:160]}")
            continue
        after = await world.store.count(AUDIT, world.workspace, {}, limit=1000)
        if after == before:
            wrong.append(f"{route.name}: {answer.status}, and no record")
    assert not wrong, "\n".join(wrong)

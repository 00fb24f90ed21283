"""The main job on every channel: webhook, session, reply, provider; five real processes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from libs.common.channels import CHANNELS
from tests.e2e.stack import Stack, until
from tests.e2e.talk import say, visitor_stream

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNEL_NAMES = sorted(CHANNELS)


async def session_with(stack: Stack, channel: str, text: str, **query: str) -> dict[str, Any]:
    """Return the session whose newest message shows *text*, once there is one."""
    path = f"/sessions?channel={channel}" + "".join(f"&{k}={v}" for k, v in query.items())

    async def found() -> dict[str, Any] | None:
        status, page = await stack.api("GET", path)
        assert status == 200, page
        rows = [r for r in page["items"] if r["last_message"]["excerpt"] == text]
        assert len(rows) <= 1, "one message opened two sessions"
        return rows[0] if rows else None

    row: dict[str, Any] = await until(found, f"a {channel} session with {text!r}")
    return row


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
async def test_a02_a04_b02_b19_a_webhook_is_answered_by_an_agent(
    stack: Stack, channel: str
) -> None:
    mark = uuid.uuid4().hex[:12]
    asked, answered = f"question {mark}", f"answer {mark}"
    slug = stack.account(channel)["slug"]
    assert await say(stack, channel, f"v{mark}", f"m{mark}", asked) == 200

    row = await session_with(stack, channel, asked)
    assert (row["list"], row["bot"], row["owner"], row["unread"]) == ("bot_hosted", True, None, 1)
    path = f"/sessions/{row['id']}"

    status, body = await stack.api("POST", f"{path}/messages", body={"text": answered}, key=mark)
    assert status == 201, body
    status, again = await stack.api("POST", f"{path}/messages", body={"text": answered}, key=mark)
    assert (status, again["id"]) == (200, body["id"])

    async def sent() -> bool:
        _, page = await stack.api("GET", f"{path}/messages")
        ours = [m for m in page["items"] if m["id"] == body["id"]]
        return bool(ours) and ours[0]["status"] in {"sent", "delivered", "read"}

    await until(sent, f"the {channel} reply as sent")
    if channel == "web":
        seen = await visitor_stream(stack, f"v{mark}", 2)  # another tab shows both sides
        shown = [(m["parts"][0]["text"], m["agent"]) for m in seen]
        assert shown == [(asked, ""), (answered, "Ada Agent")]
    else:
        texts = [item["text"] for item in await stack.sent(slug)]
        assert texts.count(answered) == 1

    _, row = await stack.api("GET", path)
    me = (await stack.api("GET", "/me"))[1]["agent"]["id"]
    assert (row["list"], row["owner"]["id"], row["bot"]) == ("assigned", me, False)
    _, page = await stack.api("GET", f"{path}/messages")
    talk = [m for m in page["items"] if m["kind"] == "message"]
    assert [(m["direction"], m["sender"]["kind"], m["text"]) for m in reversed(talk)] == [
        ("in", "visitor", asked),
        ("out", "agent", answered),
    ]


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
async def test_a05_a13_switched_off_new_sessions_wait_unassigned(
    stack: Stack, channel: str
) -> None:
    mark = uuid.uuid4().hex[:12]
    assert await say(stack, channel, f"v{mark}", f"m1{mark}", f"first {mark}") == 200
    first = await session_with(stack, channel, f"first {mark}")
    status, _ = await stack.api("POST", f"/sessions/{first['id']}/end", body={})
    assert status == 200
    change = {"channels": {channel: {"auto_hosting": False}}}
    status, answer = await stack.api("PATCH", "/settings", role="owner", body=change)
    assert status == 200, answer
    try:
        assert await say(stack, channel, f"v{mark}", f"m2{mark}", f"second {mark}") == 200
        second = await session_with(stack, channel, f"second {mark}")
    finally:
        await stack.api("PATCH", "/settings", role="owner", body={"channels": {channel: None}})
    assert second["id"] != first["id"]
    assert second["contact"] == first["contact"]
    assert (second["list"], second["bot"]) == ("unassigned", False)


async def test_c02_the_same_webhook_three_times_is_one_message(stack: Stack) -> None:
    mark = uuid.uuid4().hex[:12]
    for _ in range(3):
        assert await say(stack, "line", f"v{mark}", f"m{mark}", f"again {mark}") == 200
    row = await session_with(stack, "line", f"again {mark}")
    _, page = await stack.api("GET", f"/sessions/{row['id']}/messages")
    assert len([m for m in page["items"] if m["kind"] == "message"]) == 1
    assert row["unread"] == 1


async def test_a_webhook_can_be_traced_by_its_provider_id(stack: Stack) -> None:
    mark = uuid.uuid4().hex[:12]
    assert await say(stack, "messenger", f"v{mark}", f"m{mark}", f"trace {mark}") == 200
    row = await session_with(stack, "messenger", f"trace {mark}")
    _, page = await stack.api("GET", f"/sessions/{row['id']}/messages")
    provider_id = next(m for m in page["items"] if m["kind"] == "message")["provider_ids"][0]
    status, trace = await stack.api("GET", f"/trace/{provider_id}")
    assert status == 200
    assert row["id"] in str(trace)

"""D27: the question how it was goes out by each channel, and its answer opens no session."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.e2e.stack import Stack, until
from tests.e2e.talk import say, visitor_stream
from tests.e2e.test_round_trip import session_with

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "How was it, 1 to 5?"


@pytest.mark.parametrize("channel", ["line", "web"])
async def test_d27_a_visitor_is_asked_and_answers(stack: Stack, channel: str) -> None:
    mark = uuid.uuid4().hex[:12]
    visitor, slug = f"v{mark}", stack.account(channel)["slug"]
    survey = {"channels": ["line", "web"], "question": QUESTION}
    status, body = await stack.api("PATCH", "/settings", body={"survey": survey}, role="owner")
    assert status == 200, body
    try:
        assert await say(stack, channel, visitor, f"m{mark}", f"question {mark}") == 200
        row = await session_with(stack, channel, f"question {mark}")
        path = f"/sessions/{row['id']}"
        await stack.api("POST", f"{path}/messages", body={"text": f"answer {mark}"}, key=mark)
        await asyncio.sleep(0.5)  # the switch reaches the router
        status, body = await stack.api("POST", f"{path}/end", body={})
        assert status == 200, body
        assert await asked(stack, channel, visitor, slug)
        assert await say(stack, channel, visitor, f"n{mark}", "4") == 200

        async def rated() -> dict[str, Any] | None:
            _, found = await stack.api("GET", path)
            return found if (found["survey"] or {}).get("score") == 4 else None

        found = await until(rated, "the score")
        assert (found["list"], found["unread"]) == ("ended", row["unread"])
        _, page = await stack.api("GET", f"/contacts/{row['contact']['id']}/messages")
        assert {item["session"] for item in page["items"]} == {row["id"]}
    finally:
        await stack.api("PATCH", "/settings", body={"survey": {"channels": []}}, role="owner")


async def asked(stack: Stack, channel: str, visitor: str, slug: str) -> bool:
    """Return once the visitor, or the provider, has the question."""
    if channel == "web":
        shown = await visitor_stream(stack, visitor, 3)
        return any(QUESTION in str(message["parts"]) for message in shown)

    async def sent() -> bool:
        return any(QUESTION in str(item) for item in await stack.sent(slug))

    return bool(await until(sent, "the question at the provider"))

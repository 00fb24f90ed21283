"""Files both ways on every channel, comments with private replies, and one call for one key."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import Any

import pytest

from libs.common.channels import CHANNELS
from libs.common.simulate.bodies import kinds
from libs.common.simulate.follow import person_behind
from libs.common.simulate.samples import LAST_DIGIT, behind
from tests.e2e.acts import act, messages, outcome, upload
from tests.e2e.stack import Stack, until
from tests.e2e.test_round_trip import session_with

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITH_IMAGES = sorted(name for name in CHANNELS if "image" in kinds(name))
SENDING = sorted(set(CHANNELS) - {"web"})


def fresh() -> tuple[str, str]:
    """Return a visitor and a message id that are numbers, as most channels want them."""
    mark = uuid.uuid4().int
    return str(10**9 + mark % 10**9), str(10**8 + mark // 7 % 10**8)


async def talk(stack: Stack, channel: str, visitor: str, text: str) -> dict[str, Any]:
    """Let a visitor write; return the session."""
    _, message_id = fresh()
    assert await act(stack, channel, "text", visitor, message_id, text=text) == 200
    return await session_with(stack, channel, text)


@pytest.mark.parametrize("channel", WITH_IMAGES)
async def test_d22_a_visitors_picture_is_fetched_and_served(stack: Stack, channel: str) -> None:
    visitor, message_id = fresh()
    row = await talk(stack, channel, visitor, f"look {message_id}")
    picture = message_id[:-1] + (LAST_DIGIT["image"] if channel == "line" else message_id[-1])
    assert await act(stack, channel, "image", visitor, picture, text="this one") == 200

    async def stored() -> Any:
        said = [m for m in await messages(stack, row["id"]) if m["attachments"]]
        found = [file for m in said for file in m["attachments"]]
        return found if found and found[0]["state"] != "pending" else None

    (file, *_) = await until(stored, f"the {channel} picture as stored")
    assert (file["state"], file["mime_type"], file["kind"]) == ("stored", "image/jpeg", "image")
    async with stack.http.get(stack.base_url + file["url"]) as answer:
        content = await answer.read()
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    expected = hashlib.sha256(behind("image.jpg").content).hexdigest()
    assert hashlib.sha256(content).hexdigest() == expected


@pytest.mark.parametrize("channel", SENDING)
async def test_d22_an_agents_picture_reaches_the_provider(stack: Stack, channel: str) -> None:
    visitor, mark = fresh()
    row = await talk(stack, channel, visitor, f"show me {mark}")
    file_id, sha256 = await upload(stack, "jpg")
    path = f"/sessions/{row['id']}/messages"
    status, sent = await stack.api("POST", path, body={"attachments": [file_id]}, key=mark)
    assert status == 201, sent
    ended = await outcome(stack, row["id"], sent["id"])
    assert ended["status"] in {"sent", "delivered", "read"}, ended
    items = await stack.sent(stack.account(channel)["slug"])
    seen = [file for item in items if item["what"] == "message" for file in item.get("files", ())]
    assert sha256 in {file.get("sha256") for file in seen}


@pytest.mark.parametrize("channel", SENDING)
async def test_b05_the_same_key_three_times_is_one_call(stack: Stack, channel: str) -> None:
    visitor, mark = fresh()
    row = await talk(stack, channel, visitor, f"once {mark}")
    path, text = f"/sessions/{row['id']}/messages", f"only once {mark}"
    answers = await asyncio.gather(
        *(stack.api("POST", path, body={"text": text}, key=mark) for _ in range(3))
    )
    assert {body["id"] for _, body in answers} == {answers[0][1]["id"]}, answers
    assert sorted(status for status, _ in answers) == [200, 200, 201]
    await outcome(stack, row["id"], answers[0][1]["id"])
    items = await stack.sent(stack.account(channel)["slug"])
    assert [item["text"] for item in items].count(text) == 1
    assert [m["text"] for m in await messages(stack, row["id"])].count(text) == 1


async def test_d12_a_comment_its_answers_and_the_messenger_talk_are_one_timeline(
    stack: Stack,
) -> None:
    visitor, mark = fresh()
    asked, below, inside, answered = (f"{word} {mark}" for word in ("price", "pm", "12", "thanks"))
    assert await act(stack, "fb_comment", "text", visitor, mark, text=asked) == 200
    row = await session_with(stack, "fb_comment", asked)
    path = f"/sessions/{row['id']}/messages"
    for way, text in (("public", below), ("private", inside)):
        body = {"text": text, "way": way}
        status, sent = await stack.api("POST", path, body=body, key=f"{mark}-{way}")
        assert status == 201, sent
        ended = await outcome(stack, row["id"], sent["id"])
        assert ended["status"] in {"sent", "delivered", "read"}, ended
    person = person_behind(f"55_{mark}")
    assert await act(stack, "messenger", "text", person, f"m{mark}", text=answered) == 200
    talk_row = await session_with(stack, "messenger", answered)
    comment = (await stack.api("GET", f"/sessions/{row['id']}"))[1]
    assert talk_row["contact"]["id"] == comment["contact"]["id"]

    async def whole() -> list[str] | None:
        url = f"/contacts/{talk_row['contact']['id']}/messages"
        status, page = await stack.api("GET", url)
        assert status == 200, page
        entries = [item["entry"] for item in reversed(page["items"])]
        texts = [entry["text"] for entry in entries if entry["kind"] == "message"]
        return texts if {asked, below, inside, answered} <= set(texts) else None

    texts = await until(whole, "the whole talk in one timeline")
    assert texts == [asked, below, inside, answered]

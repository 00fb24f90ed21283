"""What visitors do beyond writing: every kind that the simulator builds, posted to a stack."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from libs.common.channel import Account
from libs.common.simulate.bodies import build
from libs.common.simulate.said import Said
from libs.common.simulate.samples import sample
from libs.common.simulate.signing import signed
from tests.e2e.stack import Stack, until
from tests.e2e.talk import account_of


def at_stub(stack: Stack, channel: str) -> Account:
    """Return the demo account with the provider stub as its provider."""
    of = account_of(stack, channel)
    return msgspec.structs.replace(of, api_base=f"{stack.demo['provider_stub']}/{of.slug}")


async def act(
    stack: Stack, channel: str, kind: str, visitor: str, message_id: str, *, text: str = ""
) -> int:
    """Post one event of *kind* as the provider would; return the answer's status."""
    of, now = at_stub(stack, channel), datetime.now(UTC)
    said = Said(visitor=visitor, message_id=message_id, text=text, now=now)
    request = signed(of, build(of, kind, said), now=now)
    url = stack.base_url + stack.account(channel)["webhook_path"]
    if request.query:
        url += "?" + urlencode(dict(request.query))
    headers = dict(request.headers)
    async with stack.http.post(url, data=request.body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def messages(stack: Stack, session: str) -> list[dict[str, Any]]:
    """Return a session's messages, oldest first."""
    status, page = await stack.api("GET", f"/sessions/{session}/messages")
    assert status == 200, page
    return [m for m in reversed(page["items"]) if m["kind"] == "message"]


async def upload(stack: Stack, extension: str) -> tuple[str, str]:
    """Upload a sample as an agent does; return its id and the SHA-256 of its bytes."""
    found = sample(extension)
    form = aiohttp.FormData()
    form.add_field("file", found.content, filename=found.name, content_type=found.mime_type)
    headers = {"Authorization": f"Bearer {stack.agent('agent')['token']}"}
    url = f"{stack.base_url}/api/v1/attachments"
    async with stack.http.post(url, data=form, headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 201, body
    return body["id"], hashlib.sha256(found.content).hexdigest()


async def outcome(stack: Stack, session: str, message: str) -> dict[str, Any]:
    """Return a message of ours once its send has ended, one way or the other."""

    async def ended() -> dict[str, Any] | None:
        ours = [m for m in await messages(stack, session) if m["id"] == message]
        return ours[0] if ours and ours[0]["status"] != "queued" else None

    found: dict[str, Any] = await until(ended, f"the end of the send of {message}")
    return found

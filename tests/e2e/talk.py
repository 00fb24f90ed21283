"""A visitor's side of each channel: really signed webhooks, built as the providers build them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.channels.web.wire import mint
from libs.common.simulate.bodies import text_body
from libs.common.simulate.signing import signed
from tests.e2e.stack import Stack


def account_of(stack: Stack, channel: str) -> Account:
    """Return the demo account of a channel, with its secrets."""
    found = stack.account(channel)
    value = CHANNELS[channel]
    names = (*value.secrets, *value.optional_secrets)
    return Account(
        workspace=stack.demo["workspace"],
        slug=found["slug"],
        channel=channel,
        external_id=found["external_id"],
        secrets={name: found[name] for name in names if name in found},
    )


async def say(stack: Stack, channel: str, visitor: str, message_id: str, text: str) -> int:
    """Post one text message as the provider would; return the answer's status."""
    account = account_of(stack, channel)
    now = datetime.now(UTC)
    body = text_body(account, visitor=visitor, message_id=message_id, text=text, now=now)
    request = signed(account, body, now=now)
    url = stack.base_url + stack.account(channel)["webhook_path"]
    if request.query:
        url += "?" + urlencode(dict(request.query))
    async with stack.http.post(url, data=request.body, headers=dict(request.headers)) as answer:
        await answer.read()
        return answer.status


async def visitor_stream(
    stack: Stack, visitor: str, number: int = 1, *, within_s: float = 5.0
) -> list[Any]:
    """Read a web visitor's event stream until *number* messages are there."""
    account = account_of(stack, "web")
    token = mint(account, visitor, int(datetime.now(UTC).timestamp()))
    url = stack.base_url + stack.account("web")["webhook_path"] + "/events"
    seen: list[Any] = []
    async with (
        asyncio.timeout(within_s),
        stack.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        async for line in answer.content:
            if line.startswith(b"data:"):
                seen.append(msgspec.json.decode(line.removeprefix(b"data:")))
                if len(seen) == number:
                    return seen
    return seen

"""The provider stub answers like the providers, fails as it is told, and keeps what it received."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from libs.common.channel import Account, HttpCall, HttpReply, Outbound, Sent
from libs.common.channels import CHANNELS
from libs.common.errors import AmbiguousSendError, NotSentError, ThrottledError
from libs.common.events import TextPart, Thread
from libs.common.http import allowed_base, open_door
from libs.common.simulate.follow import Taken
from libs.common.simulate.stub import Scripted, Stub, running_stub
from services.notifier.deliver import Transcript, drive
from tests.simulate.accounts import account

THREAD = Thread(post="1001_55", comment="55_900")
VIA = {
    "messenger": "message",
    "fb_comment": "comment",
    "instagram": "message",
    "telegram": "message",
    "whatsapp": "message",
    "line": "push",
    "wechat": "custom",
}
PROVIDERS = sorted(set(CHANNELS) & set(VIA))


async def send(of: Account, message: Outbound) -> Sent:
    """Send through the channel and the door."""
    channel = CHANNELS[of.channel]
    async with open_door() as door:

        async def perform(call: HttpCall) -> HttpReply:
            return await door.perform(call, timeout_s=1, allow=allowed_base(of.api_base))

        if channel.token is not None:
            token = await drive(channel.token(of), perform, Transcript())
            message = Outbound(
                message_id=message.message_id,
                recipient=message.recipient,
                parts=message.parts,
                access_token=token.value,
            )
        return await drive(channel.send(of, message), perform, Transcript())


def outbound(text: str = "hello", **more: Any) -> Outbound:
    fields = {"message_id": "msg_1", "recipient": "visitor-1", "thread": THREAD, **more}
    return Outbound(parts=(TextPart(text=text),), **fields)


@pytest.mark.parametrize("channel", PROVIDERS)
async def test_a_text_goes_out_once_and_is_kept(provider_stub: Stub, channel: str) -> None:
    of = account(channel, api_base=provider_stub.base("acme"))
    answer = await send(of, outbound("hello"))
    assert answer.via == VIA[channel]
    assert provider_stub.shown("acme") == ["hello"]
    item = provider_stub.sent("acme")[-1]
    assert (item.status, item.method) == (200, "POST")
    assert item.recipient == ("55_900" if channel == "fb_comment" else "visitor-1")
    assert bool(answer.provider_ids) is (channel != "wechat")


async def test_what_was_sent_is_shown_without_secrets(provider_stub: Stub) -> None:
    for channel in PROVIDERS:
        await send(account(channel, api_base=provider_stub.base(channel)), outbound())
    async with aiohttp.ClientSession() as http:
        for channel in PROVIDERS:
            url = f"{provider_stub.url}/_sent?account={channel}"
            async with http.get(url) as answer:
                text = await answer.text()
                items = (await answer.json())["items"]
            assert [item["text"] for item in items if item["text"]] == ["hello"]
            assert {"at", "method", "path", "headers", "body", "status", "recipient"} <= set(
                items[-1]
            )
            for secret in ("access-0001", "app-secret-0001", "token-wechat"):
                assert secret not in text
        async with http.delete(f"{provider_stub.url}/_sent?account=line") as answer:
            assert answer.status == 204
    assert provider_stub.sent("line") == []
    assert provider_stub.shown("wechat") == ["hello"]


async def test_a_line_reply_token_works_once(provider_stub: Stub) -> None:
    of = account("line", api_base=provider_stub.base("acme"))
    first = await send(of, outbound("one", reply_token="r-1"))
    second = await send(of, outbound("two", reply_token="r-1", message_id="msg_2"))
    assert (first.via, second.via) == ("reply", "push")
    calls = [(item.path.rpartition("/")[2], item.status) for item in provider_stub.sent("acme")]
    assert calls == [("reply", 200), ("reply", 400), ("push", 200)]


async def test_a_line_push_is_shown_once_under_its_retry_key(provider_stub: Stub) -> None:
    of = account("line", api_base=provider_stub.base("acme"))
    first = await send(of, outbound("one"))
    again = await send(of, outbound("one"))
    assert first.provider_ids == again.provider_ids != ()
    assert [item.status for item in provider_stub.sent("acme")] == [200, 409]
    assert provider_stub.shown("acme") == ["one"]


async def test_wechat_wants_a_token_that_it_gave(provider_stub: Stub) -> None:
    of = account("wechat", api_base=provider_stub.base("acme"))
    await send(of, outbound("one"))
    url = f"{of.api_base}/cgi-bin/message/custom/send?access_token=made-up"
    async with aiohttp.ClientSession() as http, http.post(url, json={"touser": "v"}) as answer:
        assert (await answer.json())["errcode"] == 40001
    assert [item.path for item in provider_stub.sent("acme")] == [
        "cgi-bin/stable_token",
        "cgi-bin/message/custom/send",
        "cgi-bin/message/custom/send",
    ]


FAULTS: dict[str, tuple[Scripted, type[Exception], list[str]]] = {
    "429 puts nothing out": (Scripted(status=429), ThrottledError, []),
    "500 puts nothing out": (Scripted(status=500), AmbiguousSendError, []),
    "500 although it was taken": (Scripted(status=500, taken=True), AmbiguousSendError, ["one"]),
    "cut before it is taken": (Scripted(drop="before"), AmbiguousSendError, []),
    "cut after it is taken": (Scripted(drop="after"), AmbiguousSendError, ["one"]),
    "slower than we wait": (Scripted(delay_s=1.5), AmbiguousSendError, ["one"]),
}


@pytest.mark.parametrize(("plan", "error", "shown"), FAULTS.values(), ids=FAULTS)
async def test_faults(
    provider_stub: Stub, plan: Scripted, error: type[Exception], shown: list[str]
) -> None:
    of = account("line", api_base=provider_stub.base("acme"))
    provider_stub.script("acme", plan)
    with pytest.raises(error):
        await send(of, outbound("one"))
    assert provider_stub.shown("acme") == shown
    assert (await send(of, outbound("two", message_id="msg_2"))).via == "push"


async def test_plans_come_by_http_too_and_are_used_up_in_order(provider_stub: Stub) -> None:
    plan = {"account": "acme", "answers": [{"status": 429}, {"delay_s": 0.2}]}
    of = account("line", api_base=provider_stub.base("acme"))
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{provider_stub.url}/_script", json=plan) as answer:
            assert answer.status == 200
        bad = {"account": "acme", "answers": [{"statos": 1}]}
        async with http.post(f"{provider_stub.url}/_script", json=bad) as answer:
            assert answer.status == 422
    with pytest.raises(NotSentError):
        await send(of, outbound("one"))
    began = time.monotonic()
    await send(of, outbound("two"))
    assert time.monotonic() - began > 0.2


async def test_what_follows_a_send_is_told() -> None:
    told: list[tuple[str, Taken]] = []

    async def follow(slug: str, taken: Taken) -> None:
        told.append((slug, taken))

    async with running_stub(follow=follow) as stub:
        of = account("messenger", api_base=stub.base("acme"))
        answer = await send(of, outbound("hello"))
        await asyncio.sleep(0.05)
    expected = Taken(
        recipient="visitor-1",
        message_id=answer.provider_ids[0],
        text="hello",
        metadata="msg_1",
    )
    assert told == [("acme", expected)]

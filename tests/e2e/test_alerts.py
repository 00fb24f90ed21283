"""Alerts through a whole installation: from a visitor's words to page, mail and endpoint."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from libs.common.admin import listening
from libs.common.channels.web.wire import mint
from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import account_of, say
from tests.forge import begin

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {"window_s": 5, "email_after_s": 10, "storm_per_minute": 1000, "escalation": []}
CHOSEN = {"lead": ["browser"], "agent": ["email"]}
"""How they are alerted of a visitor's message in a session that the bot hosts."""
GONE = {"method": "email", "after_s": 20, "quiet_s": 0}
"""The shortest that is allowed."""
SESSIONS = 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """An installation with a lead who wants alerts on the page, and an agent who wants mails."""
    folder = tmp_path_factory.mktemp("office")
    async with running(folder, RELAYDESK_LOCAL_WEBHOOKS="true") as stack:
        status, said = await stack.api(
            "PATCH",
            "/settings",
            role="owner",
            body={"alerts": SETTINGS, "offline_visitors": GONE},
        )
        assert status == 200, said
        for role, methods in CHOSEN.items():
            body = {"triggers": {"bot_hosted.message": methods}, "absent": "always"}
            status, said = await stack.api("PATCH", "/alerts/preferences", role=role, body=body)
            assert status == 200, said
        yield stack


class Page:
    """An agent's page: the alerts that it was told, oldest first."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    async def told(self, text: str, *, within_s: float = 5.0) -> dict[str, Any]:
        """Wait for the alert that shows *text*."""

        async def found() -> dict[str, Any] | None:
            return next((a for a in self.alerts if text in a.get("excerpt", "")), None)

        alert: dict[str, Any] = await until(found, f"an alert of {text!r}", within_s=within_s)
        return alert

    def raised(self, run: str) -> Counter[str]:
        """Count what was raised, by alert, of visitors who said *run*."""
        of = [a for a in self.alerts if run in a.get("excerpt", "")]
        return Counter(a["session"] for a in of if a.get("kind", "raised") == "raised")


@asynccontextmanager
async def page(stack: Stack, role: str) -> AsyncIterator[Page]:
    """Listen to the alerts of the first agent of a role."""
    made = Page()
    headers = {"Authorization": f"Bearer {stack.agent(role)['token']}"}
    url = f"{stack.base_url}/api/v1/alerts/stream"
    async with stack.http.get(url, headers=headers, timeout=None) as answer:
        assert answer.status == 200

        async def listen() -> None:
            event = ""
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                event = value if name == "event" else event
                if name == "data" and event == "alert":
                    made.alerts.append(msgspec.json.decode(value))

        task = asyncio.create_task(listen())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.wait([task])


async def mails(stack: Stack, address: str, text: str) -> list[dict[str, Any]]:
    """Return the mails to an address that show *text*."""
    url = f"{stack.demo['provider_stub']}/_mail"
    async with stack.http.get(url, params={"to": address}) as answer:
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return [item for item in items if text in item["text"]]


def mark() -> str:
    return uuid.uuid4().hex[:10]


async def write(stack: Stack, text: str, channel: str = "line", visitor: str = "") -> None:
    """Let a visitor write, a new one unless named."""
    assert await say(stack, channel, visitor or f"v{text}", f"m{mark()}", text) == 200


@pytest.mark.parametrize("channel", ["line", "messenger", "web"])
async def test_a15_a_visitor_writes_and_the_page_is_alerted(office: Stack, channel: str) -> None:
    run = mark()
    async with page(office, "lead") as lead:
        await write(office, run, channel)
        alert = await lead.told(run)
    assert (alert["trigger"], alert["channel"], alert["count"]) == (
        "bot_hosted.message",
        channel,
        1,
    )
    assert alert["session"] in alert["url"]


class Left(msgspec.Struct):
    """A web visitor who gave an address in a form, wrote, was answered, and is gone."""

    address: str
    words: str
    reply: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def left(office: Stack) -> Left:
    """Let a visitor leave early: what comes of it is looked at later, as it takes its time."""
    run = mark()
    made = Left(address=f"{run}@shop.example.org", words=f"Where is {run}?", reply=f"Here: {run}")
    of = account_of(office, "web")
    headers = {"Authorization": f"Bearer {mint(of, run, int(datetime.now(UTC).timestamp()))}"}
    url = office.base_url + office.account("web")["webhook_path"]
    form: dict[str, Any] = {"messages": [], "profile": {"name": "Eve", "email": made.address}}
    for body in (form, {"id": "m1", "text": made.words}):
        async with office.http.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def there() -> str:
        _, page = await office.api("GET", "/sessions?list=bot_hosted")
        last = {item["id"]: item["last_message"] or {} for item in page["items"]}
        return next((id_ for id_, said in last.items() if run in said.get("excerpt", "")), "")

    session = await until(there, "the visitor's session", within_s=10)
    status, said = await office.api(
        "POST", f"/sessions/{session}/messages", body={"text": made.reply}, key=run
    )
    assert status == 201, said
    return made


@pytest.mark.usefixtures("left")
async def test_a17_who_asks_for_a_human_alerts_at_once(office: Stack) -> None:
    visitor = f"v{mark()}"
    await write(office, f"hello {visitor}", visitor=visitor)
    async with page(office, "lead") as lead:
        await write(office, "human", visitor=visitor)

        async def asked() -> bool:
            return any(a["trigger"] == "handoff.requested" for a in lead.alerts)

        await until(asked, "the alert of the request")


async def test_a14_d09_email_alone_means_one_mail_and_none_once_it_was_read(office: Stack) -> None:
    left, read = mark(), mark()
    async with page(office, "agent") as agent, page(office, "lead") as lead:
        await asyncio.gather(write(office, left), write(office, read))
        session = (await lead.told(read))["session"]
        status, said = await office.api("PUT", f"/sessions/{session}/read")
        assert status < 300, said

        async def mailed() -> list[dict[str, Any]]:
            return await mails(office, office.agent("agent")["email"], left)

        await until(mailed, "the mail", within_s=25)
        await asyncio.sleep(2)
        assert len(await mailed()) == 1
        assert not agent.raised(left)
    assert await mails(office, office.agent("agent")["email"], read) == []
    assert await mails(office, office.agent("lead")["email"], left) == []


async def test_d20_an_endpoint_is_told_what_the_visitor_wrote_and_by_whom(office: Stack) -> None:
    came: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.Response:
        came.append((dict(request.headers), await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    async with listening(app, "127.0.0.1", 0) as port:
        body = {"url": f"http://127.0.0.1:{port}/hook", "events": ["message.received"]}
        status, made = await office.api("POST", "/webhook-endpoints", role="owner", body=body)
        assert status == 201, made
        run = mark()

        async def told() -> list[tuple[dict[str, str], bytes]]:
            if not came:
                await write(office, run)  # until the notifiers have heard of the endpoint
                await asyncio.sleep(0.5)
            return came

        headers, content = (await until(told, "the endpoint's call", within_s=15))[0]
    headers = {name.lower(): value for name, value in headers.items()}
    said = msgspec.json.decode(content)
    assert (said["type"], said["data"]["text"]) == ("message.received", run)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    code = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{code}"


KINDS = {"ingest", "route", "store", "alert", "reply", "webhook"}
HOPS = ("received", "on_bus", "routed", "stored", "alert", "queued", "sending", "sent")


async def test_d01_one_trace_shows_every_hop_by_whatever_id_it_is_asked(office: Stack) -> None:
    run, before = mark(), mark()
    came: list[str] = []

    async def taken(request: web.Request) -> web.Response:
        came.append(await request.text())
        return web.Response()

    for left in (await office.api("GET", "/webhook-endpoints", role="owner"))[1]["items"]:
        await office.api("DELETE", f"/webhook-endpoints/{left['id']}", role="owner")
    app = web.Application()
    app.router.add_post("/hook", taken)
    async with listening(app, "127.0.0.1", 0) as port, page(office, "lead") as lead:
        body = {"url": f"http://127.0.0.1:{port}/hook", "events": ["message.sent"]}
        status, made = await office.api("POST", "/webhook-endpoints", role="owner", body=body)
        assert status == 201, made
        await write(office, before, "whatsapp")
        await _known(office, (await lead.told(before))["session"], came)
        await write(office, run, "whatsapp")
        session = (await lead.told(run))["session"]
        status, reply = await office.api(
            "POST", f"/sessions/{session}/messages", body={"text": f"Re: {run}"}, key=run
        )
        assert status == 201, reply
        whole = await until(lambda: _whole(office, reply["id"]), "every hop", within_s=60)
    [answer] = whole["entries"]
    came = next(step["message"] for step in whole["journey"] if step["hop"] == "received")
    [entry] = (await office.api("GET", f"/trace/{came}", role="owner"))[1]["entries"]
    ids = {entry["ingest_id"], entry["event_id"], *entry["provider_ids"], came}
    ids |= {reply["id"], *answer["provider_ids"]}
    assert len(ids) >= 5, ids
    for wanted in ids:
        _, found = await office.api("GET", f"/trace/{wanted}", role="owner")
        check_journey(found, run)
        assert _keys(found) >= _keys(whole), wanted
    _, seen = await office.api("GET", f"/trace/{came}", role="agent")
    assert {step["kind"] for step in seen["journey"]} == KINDS - {"webhook"}, "admins read those"


async def _known(office: Stack, session: str, came: list[str]) -> None:
    """Reply in *session* until something *came*: then the notifiers know of the endpoint."""

    async def heard() -> bool:
        if not came:
            body = {"text": "one moment"}
            await office.api("POST", f"/sessions/{session}/messages", body=body, key=mark())
            await asyncio.sleep(1)
        return bool(came)

    await until(heard, "the endpoint is known", within_s=60)


async def _whole(office: Stack, wanted: str) -> Any:
    _, found = await office.api("GET", f"/trace/{wanted}", role="owner")
    steps = found.get("journey", [])
    ended = {step["outcome"] for step in steps if step["kind"] == "webhook"}
    hops = {step["hop"] for step in steps}
    return found if ended == {"delivered"} and hops >= set(HOPS) else None


def _keys(found: Any) -> set[tuple[str, ...]]:
    names = ("kind", "hop", "decision", "outcome", "actor", "message", "ref")
    return {tuple(step[name] for name in names) for step in found["journey"]}


def check_journey(found: Any, text: str) -> None:
    """Each hop has its time, decision and outcome, in order; nothing of what was said is shown."""
    steps = found["journey"]
    assert {step["kind"] for step in steps} == KINDS
    times = [datetime.fromisoformat(step["at"]) for step in steps]
    assert times == sorted(times)
    assert all(step["decision"] and step["outcome"] for step in steps)
    by_hop = {step["hop"]: step for step in steps}
    told = [step["hop"] for step in steps if step["decision"] != "provider"]
    assert sorted(HOPS, key=told.index) == list(HOPS)
    assert (by_hop["received"]["decision"], by_hop["received"]["outcome"]) == (
        "accepted",
        "published",
    )
    assert by_hop["routed"]["outcome"] == "bot_hosted"
    assert by_hop["stored"]["facts"]["number"]
    alert = by_hop["alert"]
    assert alert["actor"].startswith("agent:")
    assert alert["facts"]["trigger"] == "bot_hosted.message"
    assert by_hop["queued"]["decision"] == "agent"
    assert any(step["facts"].get("provider_ids") for step in steps if step["hop"] == "sent")
    assert text not in str([{**step, "message": ""} for step in steps])


async def test_a20_who_left_the_web_chat_gets_the_answer_by_email_as_set(
    office: Stack, left: Left
) -> None:
    async def mailed() -> list[dict[str, Any]]:
        return await mails(office, left.address, left.reply)

    [mail] = await until(mailed, "the email to the visitor", within_s=30)
    assert left.words in mail["text"]
    assert "/chat/demo-web#t=" in mail["text"]


@asynccontextmanager
async def second_notifier(stack: Stack, folder: Path) -> AsyncIterator[None]:
    """Run another notifier of the installation until it is done."""
    ports = folder / "second.ports.json"
    own: dict[str, str] = msgspec.json.decode((stack.data_dir / "running.json").read_bytes())
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    environ = {**clean, **own, "RELAYDESK_ADMIN_PORT": "0", "RELAYDESK_PORT_FILE": str(ports)}
    with (folder / "second.log").open("wb") as log:
        process = begin("services.notifier", environ=environ, output=log)
    try:

        async def ready() -> bool:
            if not ports.exists():
                return False
            port = msgspec.json.decode(ports.read_bytes())["admin"]
            async with stack.http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status == 200

        await until(ready, "the second notifier", within_s=20)
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def test_g11_a_killed_notifier_neither_loses_nor_doubles_an_alert(
    office: Stack, tmp_path: Path
) -> None:
    run = mark()
    async with second_notifier(office, tmp_path), page(office, "lead") as lead:

        async def burst() -> None:
            for number in range(SESSIONS):
                await write(office, f"{run}-{number}")
                await asyncio.sleep(0.05)

        async def kills() -> None:
            for _ in range(2):
                await asyncio.sleep(0.7)
                pid = office.pid("notifier")
                os.kill(pid, signal.SIGKILL)

                async def again(old: int = pid) -> bool:
                    file = office.data_dir / "notifier.ports.json"
                    return file.exists() and office.pid("notifier") != old

                await until(again, "the notifier runs again", within_s=20)

        await asyncio.gather(burst(), kills())

        async def all_told() -> bool:
            return len(lead.raised(run)) == SESSIONS

        await until(all_told, "an alert of each session", within_s=45)
        await asyncio.sleep(1)
        assert set(lead.raised(run).values()) == {1}

"""`relaydesk simulate`: what it posts, prints and returns; the stub as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from libs.common.admin import listening
from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.cli.main import main
from libs.common.errors import BadSignatureError
from libs.common.events import InboundEvent
from tests.simulate.accounts import account
from tests.typed import typed


class Gateway:
    """Takes webhooks as ingest does: verify, parse, answer."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[tuple[str, InboundEvent]] = []
        self.refused = 0

    async def take(self, request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        channel = slug.removeprefix("acme-").replace("-", "_")
        webhook = WebhookRequest(
            method="POST",
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query),
            body=await request.read(),
        )
        try:
            CHANNELS[channel].verify(account(channel), webhook)
        except BadSignatureError:
            self.refused += 1
            return web.Response(status=401)
        parsed = CHANNELS[channel].parse(account(channel), webhook)
        self.events += [(slug, event) for event in parsed.events]
        return web.Response()


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    found = Gateway()
    app = web.Application()
    app.router.add_post("/hooks/{slug}", found.take)
    async with listening(app, "127.0.0.1", 0) as port:
        found.url = f"http://127.0.0.1:{port}"
        demo = {
            "base_url": found.url,
            "workspace": "acme",
            "agents": [],
            "accounts": [in_demo(channel) for channel in CHANNELS],
            "provider_stub": "",
        }
        (tmp_path / "demo.json").write_bytes(msgspec.json.encode(demo))
        yield found


def in_demo(channel: str) -> dict[str, str]:
    of = account(channel)
    return {
        "slug": of.slug,
        "channel": channel,
        "external_id": of.external_id,
        "webhook_path": f"/hooks/{of.slug}",
        **of.secrets,
    }


async def simulate(*args: str) -> tuple[int, list[str], str]:
    code, out, err = await typed("simulate", *args)
    return code, out.splitlines(), err


async def test_as_a_process_it_posts_and_says_where_to_look(
    gateway: Gateway, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "libs.common.cli.main", "simulate", "line"),
        *("--data-dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out[:15]) == (0, b"200  line text ")
    assert len(gateway.events) == 1


async def test_every_channel_posts_a_signed_webhook_and_says_where_to_look(
    gateway: Gateway, tmp_path: Path
) -> None:
    for channel in sorted(CHANNELS):
        code, lines, _ = await simulate(channel, "--data-dir", str(tmp_path))
        assert code == 0
        assert len(lines) == 1
        assert lines[0].startswith(f"200  {channel} text ")
        assert lines[0].endswith(f"{gateway.url}/api/v1/sessions?channel={channel}")
    assert len(gateway.events) == len(CHANNELS)


async def test_count_burst_duplicates_and_words(gateway: Gateway, tmp_path: Path) -> None:
    options = ("--count", "3", "--duplicates", "--burst", "--text", "hi", "--visitor", "U77")
    code, lines, _ = await simulate("line", "--data-dir", str(tmp_path), *options)
    assert (code, len(lines)) == (0, 7)
    assert lines[-1] == "6 posted, 6 answered as they should be"
    assert len(gateway.events) == 6
    assert len({event.event_id for _, event in gateway.events}) == 3
    assert {event.visitor for _, event in gateway.events} == {"U77"}


async def test_a_bad_signature_must_be_refused(gateway: Gateway, tmp_path: Path) -> None:
    code, lines, _ = await simulate("line", "--data-dir", str(tmp_path), "--bad-signature")
    assert (code, gateway.refused) == (0, 1)
    assert lines[0].startswith("401  line text ")


async def test_d11_a_seed_makes_a_burst_repeatable(gateway: Gateway, tmp_path: Path) -> None:
    options = ("--scenario", "burst", "--count", "20", "--seed", "7", "--kind", "image")
    for _ in range(2):
        code, lines, _ = await simulate("line", "--data-dir", str(tmp_path), *options)
        assert (code, len(lines)) == (0, 21)
    assert len(gateway.events) == 40
    assert len({event.event_id for _, event in gateway.events}) == 20


async def test_d11_what_can_be_played_is_listed(gateway: Gateway) -> None:
    code, lines, _ = await simulate("line", "--list")
    assert code == 0
    assert {"  image", "  follow", "  unsend"} <= set(lines)
    assert any(line.startswith("  storm ") for line in lines)
    assert gateway.events == []


async def test_no_gateway_is_said_and_counts_as_failure(tmp_path: Path, gateway: Gateway) -> None:
    nowhere = "http://127.0.0.1:1"
    code, lines, _ = await simulate("line", "--data-dir", str(tmp_path), "--base-url", nowhere)
    assert code == 1
    assert "ClientConnectorError" in lines[0]
    assert gateway.events == []


MISTAKES = {
    "no demo.json": (("line", "--data-dir", "{empty}"), "relaydesk up --demo"),
    "an unknown account": (("line", "--data-dir", "{data}", "--account", "x"), "account x"),
}


@pytest.mark.parametrize(("args", "said"), MISTAKES.values(), ids=MISTAKES)
async def test_mistakes_are_one_line(
    gateway: Gateway, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, lines, err = await simulate(*(a.format(empty=empty, data=tmp_path) for a in args))
    assert (code, lines) == (2, [])
    assert said in err
    assert len(err.splitlines()) == 1
    assert gateway.events == []


async def test_the_stub_as_a_process_posts_echoes_and_ends_on_sigterm(
    gateway: Gateway, tmp_path: Path
) -> None:
    port_file = tmp_path / "stub.ports.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "libs.common.cli.main", "simulate", "provider"),
        *("--port-file", str(port_file), "--data-dir", str(tmp_path)),
        *("--echo-to", gateway.url),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        for _ in range(100):
            if port_file.exists():
                break
            await asyncio.sleep(0.02)
        port = msgspec.json.decode(port_file.read_bytes())["port"]
        assert f"http://127.0.0.1:{port}/_sent?account=" in line
        url = f"http://127.0.0.1:{port}/acme-messenger/v25.0/1001/messages"
        body = {"recipient": {"id": "P7"}, "message": {"text": "hi", "metadata": "msg_1"}}
        headers = {"Authorization": "Bearer x"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, json=body, headers=headers) as answer,
        ):
            assert answer.status == 200
        for _ in range(100):
            if len(gateway.events) == 3:
                break
            await asyncio.sleep(0.05)
        kinds = [type(event).__name__ for _, event in gateway.events]
        assert kinds == ["MessageEchoed", "DeliveryReported", "DeliveryReported"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0


WRONG = {
    "fewer than one": (["simulate", "line", "--count", "-1"], "number from 1 on"),
    "a gateway that is no URL": (
        ["simulate", "demo", "--base-url", "x", "--provider", "http://p:1"],
        "'x' is no URL",
    ),
    "a stand-in that is no URL": (
        ["simulate", "demo", "--base-url", "http://g", "--provider", "y"],
        "'y' is no URL",
    ),
    "a token that has ended": (
        ["token", "create", "--workspace", "w", "--email", "e", "--days", "0"],
        "1 to 36500",
    ),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err

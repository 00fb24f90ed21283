"""What an operator types, against a running installation."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from pathlib import Path

import pytest

from libs.common.channels import CHANNELS
from tests.e2e.stack import Stack, until
from tests.e2e.talk import say
from tests.typed import typed

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("stack", ["sqlite"], indirect=True),
]

FILE = """
workspace: second
name: Second
settings: {auto_hosting: false}
agents:
  - {name: Eve, email: eve@second.example, role: owner, password: {value: long-enough-1}}
accounts:
  - slug: SLUG
    channel: line
    external_id: U99
    secrets: {channel_secret: {value: s}, access_token: {value: t}}
"""


async def relaydesk(stack: Stack, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the command as a process on the installation's data folder; return code and output."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "libs.common.cli.main", *arguments, "--data-dir", str(stack.data_dir)),
        env={**clean, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def here(stack: Stack, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the command likewise, in this process."""
    return await typed(*arguments, "--data-dir", str(stack.data_dir), **environ)


async def test_config_apply_connects_an_account_at_once_and_twice_changes_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    slug = f"second-{uuid.uuid4().hex[:6]}"
    file = tmp_path / "second.yaml"
    file.write_text(FILE.replace("SLUG", slug).replace("U99", f"U{slug}"))
    code, out, error = await relaydesk(stack, "config", "apply", str(file))
    assert code == 0, error
    assert f"created account:{slug}" in out
    code, out, _ = await here(stack, "config", "apply", str(file))
    assert (code, out.strip()) == (0, "0 created, 0 updated, 3 unchanged")

    async def known() -> bool:
        url = f"{stack.base_url}/webhooks/line/{slug}"
        async with stack.http.post(url, data=b"{}") as answer:
            return answer.status == 401  # known, and not signed; an unknown account is a 404

    await until(known, "ingest knows the new account")


async def test_config_apply_refuses_a_slug_of_another_workspace(
    stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "thief.yaml"
    text = FILE.replace("SLUG", stack.account("line")["slug"]).replace("second", "thief")
    file.write_text(text.replace("U99", "U-thief"))
    code, out, error = await here(stack, "config", "apply", str(file))
    assert (code, out) == (1, "")
    assert "belongs to another workspace" in error


async def test_config_apply_names_the_mistake(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(FILE.replace("channel: line", "channel: fax").replace("SLUG", "slug"))
    code, _, error = await here(stack, "config", "apply", str(file))
    assert code == 1
    assert "accounts[slug].channel: 'fax' is not one of" in error
    assert "Traceback" not in error


async def test_token_create_prints_a_token_that_works_once_shown(stack: Stack) -> None:
    code, out, _ = await relaydesk(
        stack, "token", "create", "--workspace", "demo", "--email", "ada@demo.example"
    )
    assert code == 0
    headers = {"Authorization": f"Bearer {out.strip()}"}
    async with stack.http.get(f"{stack.base_url}/api/v1/me", headers=headers) as answer:
        assert answer.status == 200


async def test_token_create_for_nobody_is_refused(stack: Stack) -> None:
    code, out, error = await here(
        stack, "token", "create", "--workspace", "demo", "--email", "nobody@demo.example"
    )
    assert (code, out) == (1, "")
    assert "has no agent nobody@demo.example" in error


async def test_trace_prints_where_a_message_went(stack: Stack) -> None:
    mark = uuid.uuid4().hex[:12]
    assert await say(stack, "line", f"v{mark}", f"m{mark}", f"trace {mark}") == 200

    async def listed() -> str:
        _, page = await stack.api("GET", "/sessions?channel=line")
        rows = [r for r in page["items"] if r["last_message"]["excerpt"] == f"trace {mark}"]
        return rows[0]["id"] if rows else ""

    session = await until(listed, "the session")
    _, page = await stack.api("GET", f"/sessions/{session}/messages")
    provider_id = next(m for m in page["items"] if m["kind"] == "message")["provider_ids"][0]
    code, out, error = await here(stack, "trace", provider_id)
    assert code == 0, error
    assert session in out


async def test_migrate_may_be_repeated(stack: Stack) -> None:
    for _ in range(2):
        code, _, error = await here(stack, "migrate")
        assert code == 0, error


async def test_simulate_posts_what_the_gateway_accepts_and_refuses(stack: Stack) -> None:
    for channel in sorted(CHANNELS):
        code, out, error = await here(stack, "simulate", channel, "--text", "simulated")
        assert (code, out.split()[0]) == (0, "200"), (channel, out, error)
    code, out, _ = await here(stack, "simulate", "line", "--bad-signature")
    assert out.split()[0] == "401"
    assert code == 0


async def test_a_second_up_on_the_same_folder_is_refused(stack: Stack) -> None:
    code, _, error = await relaydesk(stack, "up", "--port", "0")
    assert code == 2
    assert "another `relaydesk up` uses" in error


async def test_an_unknown_setting_stops_the_start_with_its_name(stack: Stack) -> None:
    code, _, error = await here(stack, "up", "--port", "0", RELAYDESK_COLOUR="red")
    assert code == 2
    assert "RELAYDESK_COLOUR is not a setting" in error


async def test_demo_json_says_how_to_drive_the_demo(stack: Stack) -> None:
    demo = stack.demo
    assert set(demo) == {
        "base_url",
        "workspace",
        "agents",
        "accounts",
        "provider_stub",
        "smtp_sink",
    }
    assert {a["channel"] for a in demo["accounts"]} == set(CHANNELS)
    for account in demo["accounts"]:
        assert {"slug", "channel", "external_id", "webhook_path"} <= set(account)
    assert all(a["token"].startswith("rdk_demo_") and a["password"] for a in demo["agents"])
    assert (stack.data_dir / "demo.json").stat().st_mode & 0o077 == 0


async def test_up_says_when_its_data_folder_cannot_be_made(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack_on_file = Stack(stack.process, stack.data_dir, stack.http)
    stack_on_file.data_dir = tmp_path / "file" / "data"
    code, _, error = await relaydesk(stack_on_file, "up", "--port", "0")
    assert code == 2
    assert "cannot write to the data folder" in error
    assert "Traceback" not in error


async def test_up_says_when_its_port_is_taken(stack: Stack, tmp_path: Path) -> None:
    taken = stack.base_url.rpartition(":")[2]
    elsewhere = Stack(stack.process, stack.data_dir, stack.http)
    elsewhere.data_dir = tmp_path / "data"
    code, _, error = await relaydesk(elsewhere, "up", "--port", taken)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{taken}: Address already in use" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("port", ["abc", "99999", "-1"])
async def test_up_refuses_what_is_no_port(stack: Stack, port: str) -> None:
    code, _, error = await here(stack, "up", RELAYDESK_PORT=port)
    assert code == 2
    assert f"{port!r} is not a port, 0 to 65535" in error

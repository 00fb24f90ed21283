"""A contact is erased: no byte of them is left anywhere, and whatever is late stays away."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common.bus.client import open_bus
from libs.common.simulate.bodies import text_body
from libs.common.simulate.signing import signed
from libs.common.subjects import dead
from tests.e2e.stack import Stack, until
from tests.e2e.talk import account_of, say

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARK = "Ümläutmarker"


def spellings(mark: str) -> list[bytes]:
    """Return how *mark* may stand in a file: as text, JSON, UTF-16, and base64 in each phase."""
    plain = mark.encode()
    escaped = msgspec.json.encode(mark).strip(b'"')
    ascii_json = mark.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")
    found = [plain, escaped, ascii_json, mark.encode("utf-16-le"), mark.lower().encode()]
    for phase in range(3):
        coded = base64.b64encode(b"\0" * phase + plain)
        found.append(coded[4 if phase else 0 : -4])
    return found


def left(folder: Path, mark: str) -> Iterator[str]:
    """Yield the files below *folder* in which *mark* can be read."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for spelling in spellings(mark):
                if spelling in data:
                    yield f"{path.relative_to(folder)}: {spelling!r}"


async def raw_post(stack: Stack, visitor: str, message_id: str, text: str, at: datetime) -> int:
    """Post a webhook again as the provider does: the old body, freshly delivered."""
    account = account_of(stack, "whatsapp")
    body = text_body(account, visitor=visitor, message_id=message_id, text=text, now=at)
    request = signed(account, body, now=at)
    url = stack.base_url + stack.account("whatsapp")["webhook_path"]
    async with stack.http.post(url, data=request.body, headers=dict(request.headers)) as answer:
        return answer.status


async def session_of(stack: Stack, text: str) -> dict[str, Any]:
    async def found() -> Any:
        _, page = await stack.api("GET", "/sessions?channel=whatsapp", role="owner")
        for row in page["items"]:
            if text in row["last_message"]["excerpt"]:
                return row
        return None

    row: dict[str, Any] = await until(found, f"the session of {text}")
    return row


async def erase(stack: Stack, contact: str) -> str:
    """Ask for it, confirm it, and return the job's id."""
    status, asked = await stack.api("POST", f"/contacts/{contact}/erase", role="owner", body={})
    assert (status, asked["code"]) == (409, "confirmation_required"), asked
    assert "1 sessions" in asked["facts"]["summary"]
    confirm = {"confirm": asked["facts"]["token"]}
    status, job = await stack.api("POST", f"/contacts/{contact}/erase", role="owner", body=confirm)
    assert status == 202, job
    return str(job["id"])


async def job_done(stack: Stack, job: str) -> dict[str, Any]:
    async def over() -> Any:
        try:
            status, found = await stack.api("GET", f"/jobs/{job}", role="owner")
        except msgspec.DecodeError:  # desk is just coming back
            return None
        return found if status == 200 and found["state"] in {"done", "failed"} else None

    found: dict[str, Any] = await until(over, "the end of the erasure", within_s=60)
    assert found["state"] == "done", found
    return found


async def uploaded(stack: Stack, content: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="m.pdf", content_type="application/pdf")
    headers = {"Authorization": f"Bearer {stack.agent('agent')['token']}"}
    url = f"{stack.base_url}/api/v1/attachments"
    async with stack.http.post(url, data=form, headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 201, body
    return str(body["id"])


async def planted(stack: Stack, visitor: str, mark: str, at: datetime) -> str:
    """Leave *mark* wherever an installation keeps anything; return the contact's id."""
    assert await raw_post(stack, visitor, f"m1{visitor}", f"first {mark}", at) == 200
    session = (await session_of(stack, mark))["id"]
    _, detail = await stack.api("GET", f"/sessions/{session}", role="owner")
    contact = str(detail["contact"]["id"])
    facts = {"name": f"Ann {mark}", "email": f"{visitor}@marked.example", "phone": "+15550001234"}
    status, told = await stack.api("PATCH", f"/contacts/{contact}", role="owner", body=facts)
    assert status == 200, told
    key = uuid.uuid4().hex
    field = {"name": f"f{key[:8]}", "label": "Plan", "type": "text"}
    status, told = await stack.api("POST", "/contact-fields", role="owner", body=field, key=key)
    assert status in {200, 201}, told
    more = {"fields": {field["name"]: f"field {mark}"}}
    assert (await stack.api("PATCH", f"/contacts/{contact}", role="owner", body=more))[0] == 200
    note = {"text": f"note {mark}"}
    for path in (f"/contacts/{contact}/notes", f"/sessions/{session}/notes"):
        status, told = await stack.api("POST", path, role="owner", body=note, key=uuid.uuid4().hex)
        assert status in {200, 201}, (path, told)
    await stack.api("POST", f"/sessions/{session}/open")
    file = await uploaded(stack, b"%PDF-1.4\n" + mark.encode() + b"\n%%EOF\n")
    reply = {"text": f"reply {mark}", "attachments": [file]}
    path = f"/sessions/{session}/messages"
    status, told = await stack.api("POST", path, body=reply, key=uuid.uuid4().hex)
    assert status in {200, 201, 202}, told
    status, export = await stack.api("POST", "/contacts/export", role="owner", key=uuid.uuid4().hex)
    assert status == 202, export
    await job_done(stack, export["id"])
    return contact


def nats_url(stack: Stack) -> str:
    [told] = (stack.data_dir / "nats").glob("*.ports")
    return str(msgspec.json.decode(told.read_bytes())["nats"][0])


async def buried(stack: Stack, nats: str, visitor: str, mark: str) -> None:
    """Leave a dead letter of the visitor, as the router buries one."""
    account = account_of(stack, "whatsapp")
    inbound = {
        "workspace": account.workspace, "channel": "whatsapp", "account": account.slug,
        "ingest_id": "", "received_at": datetime.now(UTC).isoformat(),
        "event": {"type": "nonsense", "visitor": visitor, "text": mark},
    }  # fmt: skip
    subject = dead("router", f"in.3.{account.workspace}.whatsapp.{account.slug}")
    async with open_bus(nats, name="erasure-test", provision=False) as bus:
        await bus.publish(subject, msgspec.json.encode(inbound), msg_id=uuid.uuid4().hex)


async def test_d15_an_erased_contact_leaves_no_readable_byte_and_does_not_come_back(
    stack: Stack,
) -> None:
    mark, number = f"{MARK}{uuid.uuid4().hex[:8]}", str(uuid.uuid4().int)[:9]
    visitor, neighbour = f"1555{number}", f"1666{number}"
    began = datetime.now(UTC)
    assert await say(stack, "whatsapp", neighbour, f"q{neighbour}", f"quiet {number}") == 200
    contact = await planted(stack, visitor, mark, began)
    other = (await session_of(stack, f"quiet {number}"))["id"]
    await buried(stack, nats_url(stack), visitor, mark)
    await asyncio.sleep(1.0)
    assert list(left(stack.data_dir, mark)), "the mark was never written: nothing is shown here"

    job = await erase(stack, contact)
    await asyncio.sleep(0.3)
    os.kill(stack.pid("desk"), signal.SIGKILL)  # in the middle: another process goes on
    await job_done(stack, job)

    assert list(left(stack.data_dir, mark)) == []
    assert list(left(stack.data_dir, visitor)) == []
    unknown = await stack.api("GET", "/contacts/con_unknown", role="owner")
    assert (await stack.api("GET", f"/contacts/{contact}", role="owner"))[0] == unknown[0] == 404
    assert (await stack.api("GET", f"/sessions/{other}", role="owner"))[0] == 200
    _, said = await stack.api("GET", f"/sessions/{other}/messages", role="owner")
    assert f"quiet {number}" in msgspec.json.encode(said).decode()

    old = began - timedelta(minutes=10)  # of which no stream remembers the id any more
    for name, at in ((f"m1{visitor}", began), (f"m0{visitor}", old)):
        assert await raw_post(stack, visitor, name, f"first {mark}", at) == 200
    await asyncio.sleep(1.0)
    assert (await stack.api("GET", f"/contacts/{contact}", role="owner"))[0] == 404
    assert list(left(stack.data_dir, mark)) == []
    assert await say(stack, "whatsapp", visitor, f"new{visitor}", f"hello again {number}") == 200
    again = (await session_of(stack, f"hello again {number}"))["id"]
    _, page = await stack.api("GET", f"/sessions/{again}/messages", role="owner")
    assert [m["kind"] for m in page["items"] if m["kind"] == "message"] == ["message"]

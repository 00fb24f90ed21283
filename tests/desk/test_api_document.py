"""The requests of docs/api.md do what it says: each `curl` line is read, and sent."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

import msgspec
import pytest

from tests.desk.world import PASSWORD, Answer, World

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
FILES = {"order.pdf": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n%%EOF\n"}
MADE = {"/attachments": "FILE", "/tags": "TAG", "/contacts/export": "JOB"}
"""What later lines call the `id` of an answer."""
_LINE = re.compile(r"^    (curl .*?)  # (\d{3})$", re.MULTILINE | re.DOTALL)


class Line(msgspec.Struct, frozen=True):
    """A `curl` line, and the status that it is to answer."""

    words: tuple[str, ...]
    status: int


def lines() -> list[Line]:
    """Return the page's requests, in order."""
    found = _LINE.findall(PAGE.read_text())
    return [
        Line(tuple(shlex.split(text.replace("\\\n", " "))), int(status)) for text, status in found
    ]


async def sent(world: World, words: tuple[str, ...]) -> Answer:
    """Do as `curl` does with these words: -X, -H, --json, --data-binary, and an address."""
    headers: dict[str, str] = {}
    method, body, address = "", None, ""
    given = iter(words[1:])
    for word in given:
        if word == "-X":
            method = next(given)
        elif word == "-H":
            name, _, value = next(given).partition(": ")
            headers[name] = value
        elif word == "--json":
            body, headers["Content-Type"] = next(given).encode(), "application/json"
        elif word == "--data-binary":
            body = FILES[next(given).removeprefix("@")]
        else:
            address = word
    return await world.call(
        method or ("GET" if body is None else "POST"), address, raw=body, headers=headers
    )


async def test_d30_the_requests_of_the_page_do_what_it_says(world: World) -> None:
    session = await world.writes("Where is my order?", channel="web")
    contact = await world.call("GET", f"/contacts/{session.contact}", "olga")
    known = {
        "DESK": world.base,
        "TOKEN": world.tokens["olga"],
        "EMAIL": world.email("olga"),
        "PASSWORD": PASSWORD,
        "SESSION": session.id,
        "CONTACT": session.contact,
        "ETAG": contact.headers["ETag"],
        "LATER": (datetime.now(UTC) + timedelta(days=3)).isoformat(),
    }
    for line in lines():
        words = tuple(Template(word).substitute(known) for word in line.words)
        answer = await sent(world, words)
        assert answer.status == line.status, f"{line.words}: {answer.body!r}"
        path = words[-1].removeprefix(f"{world.base}/api/v1").partition("?")[0]
        if path in MADE:
            known[MADE[path]] = answer.json["id"]
    assert len(lines()) >= 15


def test_every_request_of_the_page_is_one_that_is_tried() -> None:
    page = PAGE.read_text()
    assert len(re.findall(r"^    curl ", page, re.MULTILINE)) == len(lines())
    with pytest.raises(KeyError):
        Template("$NOBODY").substitute({})

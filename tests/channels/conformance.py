"""What every channel of the registry is held to: its samples, and how to drive it.

A channel brings `tests/channels/<name>/account.json` (`external_id`, and secrets whose form
matters), a folder `fixtures` of plain bodies, and the table "Capabilities" in its README that
says what each of them becomes. Everything else follows from the registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs.common.channel import Account, Channel, HttpCall, HttpReply, Outbound, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import InboundEvent, TextPart, Thread
from libs.common.simulate.signing import signed

NOW = datetime(2025, 10, 9, 9, 0, tzinfo=UTC)
HERE = Path(__file__).parent
CODE = HERE.parents[1] / "libs/common/channels"

T = TypeVar("T")


class Subject(msgspec.Struct, frozen=True):
    """A channel with an account of it: once with the secrets it must have, once with all."""

    channel: Channel
    account: Account

    def sign(self, body: bytes) -> WebhookRequest:
        return signed(self.account, body, now=NOW)


def _account(channel: Channel, names: Sequence[str]) -> Account:
    given = json.loads((HERE / channel.name / "account.json").read_text())
    secrets = {name: given["secrets"].get(name, f"{name}-sample-4711") for name in names}
    return Account(
        workspace="acme",
        slug=f"acme-{channel.name.replace('_', '-')}",
        channel=channel.name,
        external_id=given["external_id"],
        app="acme-app" if channel.addressees else "",
        secrets=secrets,
    )


def _subjects() -> Iterator[tuple[str, Subject]]:
    for name, channel in CHANNELS.items():
        if not (HERE / name / "account.json").is_file():
            continue  # a test of its own fails for it, and not the collection of all
        yield name, Subject(channel, _account(channel, channel.secrets))
        if channel.optional_secrets:
            every = (*channel.secrets, *channel.optional_secrets)
            yield f"{name} with all secrets", Subject(channel, _account(channel, every))


SUBJECTS = dict(_subjects())


def fixtures_of(channel: str) -> dict[str, bytes]:
    """Return the channel's plain bodies by the file's name without its ending."""
    return {
        path.stem: path.read_bytes() for path in sorted((HERE / channel / "fixtures").iterdir())
    }


FIXTURES = {
    f"{name}: {stem}": (subject, stem, body)
    for name, subject in SUBJECTS.items()
    for stem, body in fixtures_of(subject.channel.name).items()
}

_ROW = re.compile(r"^\| `(?P<fixture>\w+)` \|(?P<kinds>[^|]*)\|", re.MULTILINE)


def capabilities_of(channel: str) -> dict[str, list[str]]:
    """Return fixture -> kinds of events, in order, as the README's table declares them."""
    text = (CODE / channel / "README.md").read_text()
    section = text.partition("\n## Capabilities\n")[2].partition("\n## ")[0]
    return {
        row["fixture"]: re.findall(r"`([\w.]+)`", row["kinds"]) for row in _ROW.finditer(section)
    }


def kind_of(event: InboundEvent) -> str:
    """Return the event's tag, such as `message.received`."""
    return str(event.__struct_config__.tag)


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in strings(item)]


# --- sending -----------------------------------------------------------------------------------

TAKEN = HttpReply(
    status=200,
    body=json.dumps(
        {
            "errcode": 0,
            "access_token": "fetched-token-sample",
            "expires_in": 7200,
            "sentMessages": [{"id": "600001"}],
            "messages": [{"id": "wamid.600001"}],
            "recipient_id": "visitor-1",
            "message_id": "m_600001",
            "id": "1001_600001",
            "ok": True,
            "result": {"message_id": 600001},
        }
    ).encode(),
)
"""One answer in which every provider's success is found."""

_THREADS = {"fb_comment": Thread(post="1001_2001", comment="2001_3001", parent="1001_2001")}


def outbound(subject: Subject, text: str) -> Outbound:
    """Return a text message that the channel can send."""
    channel = subject.channel
    return Outbound(
        message_id="msg_sample",
        recipient="visitor-1",
        parts=(TextPart(text=text),),
        thread=_THREADS.get(channel.name),
        access_token="fetched-token-sample" if channel.token else "",
    )


def play(
    exchange: Generator[HttpCall, HttpReply, T], *replies: HttpReply | Exception
) -> tuple[list[HttpCall], T]:
    """Run an exchange to its end; the last of *replies* answers all further calls too.

    Raises what the exchange raises.
    """
    calls: list[HttpCall] = []
    answers = list(replies)
    try:
        calls.append(next(exchange))
        while True:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            given = (
                exchange.throw(answer) if isinstance(answer, Exception) else exchange.send(answer)
            )
            calls.append(given)
    except StopIteration as stop:
        result: T = stop.value
        return calls, result

"""The code and the numbers of docs/webhook-bots.md, held to what is really done."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.common.bots import webhook
from libs.common.bots.secrets import fresh_secret
from libs.common.channel import HttpReply
from libs.common.events import TextPart
from libs.common.switches import Settings
from services.desk.api.bot_answers import LIMIT
from services.notifier import bots_breaker
from tests.bots.bots import web_bot

TEXT = (Path(__file__).parents[2] / "docs" / "webhook-bots.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def example() -> dict[str, Any]:
    """What the document's own code defines."""
    [code] = blocks("python")
    found: dict[str, Any] = {}
    exec(compile(code, "webhook-bots.md", "exec"), found)  # noqa: S102 (our own document)
    return found


def case() -> webhook.BotCase:
    now = datetime.now(UTC)
    return webhook.BotCase(
        workspace="acme",
        session="ses_1",
        epoch=3,
        channel="line",
        account="acme-line",
        message=webhook.BotLine(
            id="msg_9", at=now, sender="visitor", parts=(TextPart(text="Where is my parcel?"),)
        ),
        contact=webhook.BotContact(
            id="con_4", name="Vera", language="en", fields={"email": "v@example.org"}
        ),
        reply_url="https://chat.example.com/api/v1/bots/acme/helper/answers",
        deadline=now + timedelta(seconds=30),
    )


def test_its_code_knows_our_calls_and_no_others(example: dict[str, Any]) -> None:
    secret = fresh_secret()
    call = webhook.request(web_bot(), secret, case(), datetime.now(UTC))
    genuine = example["is_from_relaydesk"]
    assert genuine(secret, dict(call.headers), call.body)
    assert not genuine(secret, dict(call.headers), call.body + b" ")
    assert not genuine(fresh_secret(), dict(call.headers), call.body)
    old = webhook.request(web_bot(), secret, case(), datetime.now(UTC) - timedelta(minutes=6))
    assert not genuine(secret, dict(old.headers), old.body)


def test_its_code_signs_answers_that_are_taken(example: dict[str, Any]) -> None:
    secret = fresh_secret()
    body = json.dumps({"session": "s", "epoch": 1, "message": "m", "end": True}).encode()
    headers = example["headers_of"](secret, "answer-1", body)
    read = webhook.read_callback(web_bot(), secret, headers, body, datetime.now(UTC))
    assert (read.call, read.end) == ("answer-1", True)


def test_its_call_has_the_fields_of_ours() -> None:
    shown = json.loads(blocks("json")[0])
    call = webhook.request(web_bot(), fresh_secret(), case(), datetime.now(UTC))
    ours = json.loads(call.body or b"")
    assert _shape(shown) == _shape(ours)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else type(value).__name__


def test_its_answer_can_be_read() -> None:
    body = blocks("json")[1].encode()
    answer = webhook.read_answer(HttpReply(status=200, headers={}, body=body))
    assert [len(message.attachments) for message in answer.messages] == [0, 1]


NUMBERS = {
    "up to 20 messages before": webhook.MOST_HISTORY == 20,
    "| `messages` | up to 5;": webhook.MOST_MESSAGES == 5,
    "| up to 4,000 characters;": webhook.LONGEST_TEXT == 4000,
    "| `choices` | up to 10; `title` 1 to 80": webhook.MOST_CHOICES == 10
    and webhook.LONGEST_TITLE == 80,
    "up to 60 bytes": webhook.LONGEST_PAYLOAD == 60,
    "| `attachments` | up to 10 ids": webhook.MOST_ATTACHMENTS == 10,
    "at most 64 KiB": webhook.ANSWER_BYTES == 64 * 1024,
    "at most 256 KiB": webhook.CALL_BYTES == 256 * 1024,
    "`bot_deadline_s`, 30 seconds": Settings().bot_deadline_s == 30,
    "`bot_messages`, 30": Settings().bot_messages == 30,
    "After five failures in a row": bots_breaker.FAILURES == 5,
    "for 10 seconds": bots_breaker.FIRST_REST_S == 10,
    "five minutes, its visitors": bots_breaker.LONGEST_REST_S == 300,
    "At most 16 calls": bots_breaker.AT_ONCE_PER_BOT == 16,
    "more than ten answers a second": LIMIT.refill_s == 0.1,
}


@pytest.mark.parametrize(("words", "holds"), NUMBERS.items(), ids=NUMBERS)
def test_its_numbers_are_ours(words: str, holds: bool) -> None:
    assert words in " ".join(TEXT.split())
    assert holds

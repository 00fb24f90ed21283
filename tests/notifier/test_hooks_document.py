"""The code and the numbers of docs/webhooks.md, held to what is really done."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.bots.secrets import fresh_secret
from libs.common.signing import TOLERANCE_S, sign
from libs.common.webhook_events import CUT_TEXT, DATA, MessageData
from libs.common.webhooks import (
    EVENT_TYPES,
    KEPT,
    MOST_ANSWER,
    MOST_ATTEMPTS,
    MOST_BODY,
    MOST_ENDPOINTS,
    MOST_SECRETS,
    NOTED,
    OLD_SIGNS,
    WAITS,
)
from services.desk.api.webhook_endpoints_log import MOST_AGAIN
from services.notifier.hooks_call import TIMEOUT_S
from services.notifier.hooks_event import LINK_LIFE
from services.notifier.hooks_lane import FAILURES, Pace
from services.notifier.hooks_retry import GIVES_UP, JITTER, LONGEST_WAIT_S, PAUSES_S

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
FLAT = " ".join(TEXT.split())


def block(kind: str) -> str:
    [found] = re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def test_d20_its_python_knows_our_calls_and_no_others() -> None:
    code: dict[str, Any] = {}
    exec(compile(block("python"), "webhooks.md", "exec"), code)  # noqa: S102 (our own document)
    genuine = code["is_from_relaydesk"]
    secret, old, now = fresh_secret(), fresh_secret(), datetime.now(UTC)
    headers = sign(f"{secret} {old}", "whd_1", b"{}", now)
    assert genuine(secret, headers, b"{}")
    assert genuine(old, headers, b"{}")
    assert not genuine(fresh_secret(), headers, b"{}")
    assert not genuine(secret, headers, b"{ }")
    stale = sign(secret, "whd_1", b"{}", now - timedelta(seconds=TOLERANCE_S + 5))
    assert not genuine(secret, stale, b"{}")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="takes openssl")
def test_d20_its_shell_computes_the_published_vector() -> None:
    run = subprocess.run(
        ["/bin/sh", "-c", block("sh")], capture_output=True, text=True, timeout=20, check=True
    )
    assert run.stdout.strip() == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_its_example_is_what_is_sent() -> None:
    example = msgspec.json.decode(block("json"))
    assert DATA[example["type"]] is MessageData
    assert msgspec.convert(example["data"], MessageData).number == 7
    assert set(example["data"]) == {
        field.encode_name for field in msgspec.structs.fields(MessageData)
    }


def test_it_names_every_type_of_event() -> None:
    assert tuple(re.findall(r"^\| `(\w+\.\w+)` \|", TEXT, re.MULTILINE)) == EVENT_TYPES
    assert set(DATA) == set(EVENT_TYPES)


NUMBERS = {
    f"up to {MOST_ENDPOINTS} endpoints a workspace": 20,
    f"at most {MOST_BODY // 1024} KiB": 256,
    f"within {TIMEOUT_S:.0f} seconds": 15,
    f"The first {MOST_ANSWER} characters": 512,
    f"the first {CUT_TEXT:,} characters": 8000,
    f"For {OLD_SIGNS.total_seconds() / 3600:.0f} hours both sign": 24,
    f"kept for {KEPT.days} days": 30,
    f"the last {MOST_ATTEMPTS} tries": 20,
    f"up to {MOST_AGAIN} a request": 500,
    "5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h": PAUSES_S,
    "eleven tries": len(PAUSES_S) + 1,
    "each up to a tenth longer": JITTER,
    "up to a day": LONGEST_WAIT_S,
    "At most eight calls": Pace().at_once,
    "after five failures in a row": FAILURES,
    "rests for 10 seconds to 5 minutes": (Pace().first_rest_s, Pace().longest_rest_s),
    "took nothing for five days": GIVES_UP.days,
    "for up to seven days": WAITS.days,
    "works for a week": LINK_LIFE.days,
    "the same, for one day": NOTED["gone"].days,
    "up to five at a time": MOST_SECRETS,
}
SAID: dict[str, Any] = {
    "5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h": (
        *(5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
    ),
    "eleven tries": 11,
    "each up to a tenth longer": 0.1,
    "up to a day": 86400,
    "At most eight calls": 8,
    "after five failures in a row": 5,
    "rests for 10 seconds to 5 minutes": (10, 300),
    "took nothing for five days": 5,
    "for up to seven days": 7,
    "works for a week": 7,
    "the same, for one day": 1,
    "up to five at a time": 5,
}


@pytest.mark.parametrize("words", NUMBERS)
def test_its_numbers_are_those_of_the_code(words: str) -> None:
    assert words in FLAT
    assert NUMBERS[words] == SAID.get(words, NUMBERS[words])

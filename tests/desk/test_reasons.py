"""Why a message failed, in words: every code that a channel or the sender can yield (D21)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from libs.common.channels import CHANNELS
from libs.common.errors import AmbiguousSendError, NotSentError, ThrottledError
from libs.common.reasons import REASONS, failure_of, reason

ROOT = Path(__file__).parents[2]
SOURCES = ("libs/common/channels", "libs/common/providers", "services/notifier")
ALONE = ("libs/common/outgoing.py", "libs/common/http.py", "libs/common/windows.py")
_RAISED = re.compile(
    r'(?:RejectedError|CredentialError|Result)\([^()]*?reason="([a-z_]+)"', re.DOTALL
)
_TABLE = re.compile(r'^\s+(?:"[\d/]+"|-?\d+): "([a-z_]+)",', re.MULTILINE)
_WINDOW = re.compile(r"Reason = Literal\[(.*?)\]", re.DOTALL)


def yielded() -> dict[str, str]:
    """Return every code that the sources can end a message with, and where one of them is."""
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    found: dict[str, str] = {}
    for path in (*paths, *(ROOT / name for name in ALONE)):
        source = path.read_text()
        for code in (*_RAISED.findall(source), *_TABLE.findall(source)):
            found.setdefault(code, path.name)
        for words in _WINDOW.findall(source) if path.name == "windows.py" else ():
            found |= dict.fromkeys(re.findall(r'"([a-z_]+)"', words), path.name)
    return found


def test_d21_every_code_that_a_send_can_end_with_has_words() -> None:
    found = yielded()
    assert {"bad_content", "window_closed", "credential", "partly_sent", "bug"} <= set(found)
    assert {code: where for code, where in found.items() if code not in REASONS} == {}
    assert {e.code for e in (NotSentError, ThrottledError, AmbiguousSendError)} <= set(REASONS)
    assert len(CHANNELS) >= 6


@pytest.mark.parametrize("code", REASONS)
def test_d21_a_reason_is_two_sentences(code: str) -> None:
    found = reason(code)
    for words in (found.text, found.advice):
        assert re.fullmatch(r"[A-Z].{10,150}\.", words), words
    assert found.text != found.advice


@pytest.mark.parametrize("code", REASONS)
def test_d21_advice_fits_every_channel(code: str) -> None:
    assert any(not channel.window.templates for channel in CHANNELS.values())
    assert "template" not in reason(code).advice


RETRIED = {
    "refused for speed, so surely not taken": ("failed", "throttled", True),
    "never left us": ("failed", "not_sent", True),
    "the window may open again": ("failed", "window_closed", True),
    "the same content is refused again": ("failed", "bad_content", False),
    "a part of it is out": ("failed", "partly_sent", False),
    "nobody knows, whatever the code": ("unknown", "throttled", False),
    "nobody knows, without a code": ("unknown", "", False),
    "a code of a newer version": ("failed", "flux", False),
}


@pytest.mark.parametrize(("status", "code", "can"), RETRIED.values(), ids=RETRIED)
def test_d21_a_repeat_is_only_offered_where_it_is_safe(status: str, code: str, can: bool) -> None:
    found = failure_of(status, code, "131047")
    assert found is not None
    assert (found.can_retry, found.provider_code) == (can, "131047")
    assert found.text
    again = failure_of(status, code, "", retried=True)
    assert again is not None
    assert again.can_retry is False


@pytest.mark.parametrize("status", ["", "queued", "sent", "delivered", "read"])
def test_d21_what_has_not_failed_has_no_failure(status: str) -> None:
    assert failure_of(status, "", "") is None

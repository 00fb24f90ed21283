"""`relaydesk doctor payload`: files in, plain words and an exit code out."""

from __future__ import annotations

import pytest

from libs.common.cli.doctor import headers_of, told
from libs.common.doctor.findings import Diagnosis, Finding
from libs.common.errors import SettingsError

HEADERS = {
    "lines": b"X-Line-Signature: abc=\r\nContent-Type: application/json\r\n\r\n",
    "lines with the request line": b"POST /webhooks/line/a HTTP/1.1\nX-Line-Signature:abc=\n"
    b"Content-Type: application/json\n",
    "JSON": b'{"X-Line-Signature": "abc=", "content-type": "application/json"}',
}


@pytest.mark.parametrize("raw", HEADERS.values(), ids=HEADERS)
def test_headers_are_read_in_every_usual_form(raw: bytes) -> None:
    expected = {"x-line-signature": "abc=", "content-type": "application/json"}
    assert headers_of(raw) == expected


@pytest.mark.parametrize("raw", [b"no colon here", b'{"a": 1}', b"{"])
def test_headers_that_are_none_are_refused(raw: bytes) -> None:
    with pytest.raises(SettingsError, match="--headers"):
        headers_of(raw)


def test_a_diagnosis_is_told_in_lines() -> None:
    finding = Finding(code="empty_secret", words="There is none.", advice="Store one.")
    diagnosis = Diagnosis(verdict="refused", status=401, findings=(finding,))
    assert told(diagnosis) == [
        "refused, answered with 401",
        "  cause  empty_secret: There is none.",
        "  advice Store one.",
    ]

"""The protocol's bytes."""

from __future__ import annotations

import pytest

from libs.common.bus import wire
from libs.common.bus.pull import Place, place
from libs.common.errors import PermanentError

SUBJECTS = {
    "plain tokens are fine": ("in.3.acme.line.a", True),
    "letters beyond ASCII are fine": ("in.3.บริษัท", True),
    "a space would start a second argument": ("in.3 x", False),
    "a line break would start a second command": ("in.3\r\nPUB x 0\r\n", False),
    "a tab as well": ("in\t3", False),
    "a star listens, it does not publish": ("in.*.x", False),
    "so does the tail": ("in.>", False),
    "nothing is no subject": ("", False),
    "an empty token in the middle": ("in..x", False),
    "an empty first token": (".in", False),
    "an empty last token": ("in.", False),
}


@pytest.mark.parametrize(("subject", "fine"), SUBJECTS.values(), ids=SUBJECTS)
def test_subject_to_publish_on(subject: str, fine: bool) -> None:
    if fine:
        assert wire.checked_subject(subject) == subject.encode()
    else:
        with pytest.raises(PermanentError):
            wire.checked_subject(subject)


HEADERS = {
    "values keep their inner spaces and colons": ({"A": "b: c  d"}, {"A": "b: c  d"}),
    "a line break cannot inject a header": (
        {"A": "b\r\nNats-Msg-Id: evil"},
        {"A": "b  Nats-Msg-Id: evil"},
    ),
    "Thai survives": ({"A": "สวัสดี"}, {"A": "สวัสดี"}),
    "a lone surrogate does not raise": ({"A": "x\ud800y"}, {"A": "x\ufffd\ufffd\ufffdy"}),
    "an empty value stays": ({"A": ""}, {"A": ""}),
}


@pytest.mark.parametrize(("given", "expected"), HEADERS.values(), ids=HEADERS)
def test_headers_there_and_back(given: dict[str, str], expected: dict[str, str]) -> None:
    assert wire.decode_headers(wire.encode_headers(given)) == expected


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_a_bad_header_name_is_refused(name: str) -> None:
    with pytest.raises(PermanentError):
        wire.encode_headers({name: "x"})


STATUSES = {
    "an ordinary message has none": (b"NATS/1.0\r\nA: b\r\n\r\n", 0, ""),
    "no responders": (b"NATS/1.0 503\r\n\r\n", 503, ""),
    "a status with words": (b"NATS/1.0 409 Consumer Deleted\r\n\r\n", 409, "Consumer Deleted"),
    "a status with headers": (
        b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n",
        408,
        "Request Timeout",
    ),
    "no headers at all": (b"", 0, ""),
}


@pytest.mark.parametrize(("raw", "code", "words"), STATUSES.values(), ids=STATUSES)
def test_status(raw: bytes, code: int, words: str) -> None:
    assert wire.status(raw) == code
    if code:
        assert wire.description(raw) == words


def test_one_header_is_found_without_decoding_the_rest() -> None:
    raw = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\nX:y\r\n\r\n"
    assert wire.header(raw, b"Nats-Pending-Messages") == "7"
    assert wire.header(raw, b"X") == "y"
    assert wire.header(raw, b"Pending-Messages") == ""


PLACES = {
    "the short form": b"$JS.ACK.INBOUND.router-3.2.77.12.1700000000000000000.5",
    "the form with domain and account": (
        b"$JS.ACK.hub.ACCHASH.INBOUND.router-3.2.77.12.1700000000000000000.5.rnd"
    ),
}


@pytest.mark.parametrize("reply", PLACES.values(), ids=PLACES)
def test_place_of_a_delivery(reply: bytes) -> None:
    assert place(reply) == Place(2, 77, 12, 1700000000000000000, 5)

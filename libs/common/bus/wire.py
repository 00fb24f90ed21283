"""Bytes of the NATS protocol: headers, statuses, publish commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from libs.common.errors import PermanentError

_VERSION = b"NATS/1.0"
_BREAKS = str.maketrans("\r\n\0", "   ")
_MOST_NAMES = 1000
_checked_names: set[str] = set()
"""Header names that were found good: there are few, and each publish has half a dozen."""
_NAME = re.compile(r"[!-9;-~]+")
_BAD_SUBJECT = re.compile(r"[\s*>\x00]|^\.|\.\.|\.$|^$")


@lru_cache(maxsize=4096)
def checked_subject(subject: str) -> bytes:
    """Return the subject as bytes.

    Raises:
        PermanentError: It is empty, has an empty token, a space or a wildcard.
    """
    if _BAD_SUBJECT.search(subject):
        raise PermanentError(f"not a subject to publish on: {subject[:80]!r}")
    return subject.encode("utf-8", "replace")


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Return the header block; line breaks in values become spaces, so none can be injected.

    Raises:
        PermanentError: A name is not a header name.
    """
    if not headers.keys() <= _checked_names:
        _check_names(headers)
    text = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
    breaks = len(headers)
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        text = "".join([f"\r\n{name}: {_one_line(value)}" for name, value in headers.items()])
    return f"NATS/1.0{text}\r\n\r\n".encode("utf-8", "surrogatepass")


def _check_names(headers: Mapping[str, str]) -> None:
    for name in headers:
        if not _NAME.fullmatch(name):
            raise PermanentError(f"not a header name: {name[:80]!r}")
    if len(_checked_names) < _MOST_NAMES:
        _checked_names.update(headers)


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        return value.translate(_BREAKS)
    return value


def decode_headers(raw: bytes) -> dict[str, str]:
    """Return the headers; a name that occurs twice keeps its last value."""
    headers: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def header(raw: bytes, name: bytes) -> str:
    """Return one header's value, empty when absent, without decoding the rest."""
    start = raw.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    return raw[start : raw.find(b"\r\n", start)].strip().decode("utf-8", "replace")


def status(raw: bytes) -> int:
    """Return the status of a header block, 0 when it has none (an ordinary message)."""
    if len(raw) > len(_VERSION) + 3 and raw[len(_VERSION)] == ord(" "):
        code = raw[len(_VERSION) + 1 : len(_VERSION) + 4]
        return int(code) if code.isdigit() else 0
    return 0


def description(raw: bytes) -> str:
    """Return the words behind the status."""
    line, _, _ = raw.partition(b"\r\n")
    return line[len(_VERSION) + 5 :].decode("utf-8", "replace").strip()


def pub(subject: bytes, reply: bytes, data: bytes) -> bytes:
    """Return a publish command without headers."""
    return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(data), data)


def hpub(subject: bytes, reply: bytes, headers: bytes, data: bytes) -> bytes:
    """Return a publish command with a header block made by `encode_headers`."""
    size = len(headers)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
        subject,
        reply,
        size,
        size + len(data),
        headers,
        data,
    )

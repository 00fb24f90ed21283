"""Telling what is of an erased person: in documents, and in messages of the streams. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common.bus.delivery import StoredMessage
from libs.common.erasures import Found
from libs.common.ids import derive_id

_ID = re.compile(rb"[a-z]{2,4}_[a-z2-7]{26}|\b[0-9A-HJKMNP-TV-Z]{26}\b")
"""Our derived ids, and those of accepted webhooks."""
_WORD = rb"[0-9A-Za-z_@.-]"


class Seen:
    """Recognises what is of *found*; learns the ids of webhooks from what it recognises."""

    def __init__(self, found: Found) -> None:
        erasure = found.erasure
        self._ids = {one.encode() for one in found.ids}
        self._before = erasure.before
        self._places = set(erasure.places)
        visitors = {visitor for _, visitor in erasure.places}
        self._old = {one.encode() for one in erasure.contacts}
        self._old |= {derive_id("vis", *place).encode() for place in erasure.places}
        self._workspace = erasure.workspace
        self._accounts = {account for account, _ in erasure.places}
        # A very short id would be found in every body; webhooks with it are found by their events.
        self._named = _any_of(one.encode() for one in visitors if len(one) > 1)

    def names(self, data: bytes) -> bool:
        """Tell whether *data*, a document as JSON, has an id of theirs."""
        return any(one in self._ids or one in self._old for one in _ID.findall(data))

    def is_theirs(self, message: StoredMessage) -> bool:
        """Tell whether a stored message is of them, and from before they were erased."""
        if self._workspace not in message.subject and self._workspace.encode() not in message.data:
            return False
        heads = " ".join((message.subject, *message.headers.values())).encode()
        found = {*_ID.findall(heads), *_ID.findall(message.data)}
        told = _told(message.data)
        theirs = bool(found & self._ids)
        if not theirs and self._is_old(message, told):
            theirs = bool(found & self._old) or self._is_said(told)
            theirs = theirs or self._is_raw(message, told)
        if theirs and isinstance(one := told.get("ingest_id"), str) and one:
            self._ids.add(one.encode())  # its other parts, and its raw body
        return theirs

    def _is_old(self, message: StoredMessage, told: dict[str, Any]) -> bool:
        at = datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC)
        try:
            at = msgspec.convert(told["received_at"], datetime) if told.get("received_at") else at
        except msgspec.ValidationError:
            return True
        return at < self._before

    def _is_said(self, told: dict[str, Any]) -> bool:
        event = told.get("event")
        of = event if isinstance(event, dict) else told
        names = (told.get("visitor"), of.get("visitor"), of.get("alias"))
        return any((told.get("account"), name) in self._places for name in names)

    def _is_raw(self, message: StoredMessage, told: dict[str, Any]) -> bool:
        """Tell whether it is an accepted webhook that names them: not only them, perhaps."""
        parts = message.subject.split(".")
        if self._named is None or "body" not in told or not self._accounts.intersection(parts):
            return False
        try:
            body = base64.b64decode(told["body"])
        except (ValueError, TypeError):
            return False
        return self._named.search(body) is not None


def _told(data: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _any_of(names: Iterable[bytes]) -> re.Pattern[bytes] | None:
    found = b"|".join(sorted(re.escape(one) for one in _spellings(names)))
    return re.compile(b"(?<!%b)(?:%b)(?!%b)" % (_WORD, found, _WORD)) if found else None


def _spellings(names: Iterable[bytes]) -> Iterator[bytes]:
    for name in names:
        yield name
        yield msgspec.json.encode(name.decode("utf-8", "replace"))[1:-1]

"""Tombstones of erased visitors: what comes late of them is dropped, what is new is not.

A tombstone says nothing of the person. Its key is a keyed hash of account and visitor, so that only
who has the installation's key and the visitor's id can tell that it is theirs. It lies in a bucket
that forgets it after `ERASED_KV.ttl_s`, longer than any stream or provider keeps what is old.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.events import Inbound
from libs.common.seal import read_keys
from libs.common.subjects import ERASED_KV

log = logging.getLogger(__name__)

SKEW = timedelta(minutes=5)
"""How far a provider's clock may be behind ours: by their time alone, only what is older is old."""
MOST_RECENT = 1_000
_PURPOSE = b"relaydesk erasure tombstones"


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """That a visitor was erased.

    Attributes:
        before: What we received before is gone for good.
        recent: Keyed hashes of the ids of their last events: those are old whatever their time.
        by: The fingerprint of the key that named it; empty: written before that was kept.
    """

    before: datetime
    recent: tuple[str, ...] = ()
    by: str = ""


def erasure_keys(setting: str) -> tuple[bytes, ...]:
    """Derive the keys of tombstones from the setting `secret_key`, the writing one first.

    Raises:
        SettingsError: The setting cannot be read.
    """
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key)
        for key in read_keys(setting).values()
    )


def fingerprint(key: bytes) -> str:
    """Return what tells *key* from others and says nothing of it."""
    return _hash(key, "fingerprint")[:12]


def tombstone_key(key: bytes, workspace: str, account: str, visitor: str) -> str:
    """Return the bucket's key of a visitor."""
    return _hash(key, "visitor", workspace, account, visitor)


def event_mark(key: bytes, workspace: str, account: str, event_id: str) -> str:
    """Return by what a tombstone names an event."""
    return _hash(key, "event", workspace, account, event_id)


async def bury(
    bus: Bus,
    keys: Sequence[bytes],
    workspace: str,
    place: tuple[str, str],
    before: datetime,
    events: Iterable[str] = (),
) -> None:
    """Write the tombstone of *place*, an account and a visitor; again is harmless.

    Raises:
        BusUnavailableError: It is not known to be written.
    """
    account, visitor = place
    marks = sorted(event_mark(keys[0], workspace, account, one) for one in events)[:MOST_RECENT]
    tombstone = Tombstone(before=before, recent=tuple(marks), by=fingerprint(keys[0]))
    key = tombstone_key(keys[0], workspace, account, visitor)
    await bus.kv_put(ERASED_KV, key, msgspec.json.encode(tombstone))


class Erased:
    """Who was erased, as far as it is known here; *keys* from `erasure_keys`."""

    def __init__(self, keys: Sequence[bytes], changed: Callable[[], None] = lambda: None) -> None:
        self._keys = keys
        self._known: dict[str, Tombstone] = {}
        self._changed = changed
        self.complete = asyncio.Event()

    def __bool__(self) -> bool:
        """Tell whether anybody was."""
        return bool(self._known)

    def since(self, workspace: str, account: str, visitor: str) -> datetime | None:
        """Return when the visitor was erased last; None: never."""
        found = self._of(workspace, account, visitor)
        return found.before if found else None

    def drops(self, inbound: Inbound) -> bool:
        """Tell whether *inbound* is of somebody who was erased since."""
        if not self._known:
            return False
        event = inbound.event
        visitors = (event.visitor, event.alias) if event.alias else (event.visitor,)
        return any(self._is_old(inbound, visitor) for visitor in visitors)

    def see(self, entry: KvEntry) -> None:
        """Take in a change of the bucket."""
        if entry.value is None:
            self._known.pop(entry.key, None)
            return
        with suppress(msgspec.DecodeError):
            self._known[entry.key] = msgspec.json.decode(entry.value, type=Tombstone)
        if self.complete.is_set():
            self._changed()

    def all_seen(self) -> None:
        """Say that what was there is known."""
        self.complete.set()
        self._changed()

    def _is_old(self, inbound: Inbound, visitor: str) -> bool:
        found = self._of(inbound.workspace, inbound.account, visitor)
        if found is None:
            return False
        if inbound.received_at < found.before or inbound.event.occurred_at < found.before - SKEW:
            return True
        marks = (
            event_mark(key, inbound.workspace, inbound.account, inbound.event.event_id)
            for key in self._keys
        )
        return any(mark in found.recent for mark in marks)

    def _of(self, workspace: str, account: str, visitor: str) -> Tombstone | None:
        if not self._known:
            return None
        for key in self._keys:
            found = self._known.get(tombstone_key(key, workspace, account, visitor))
            if found is not None:
                return found
        return None


@asynccontextmanager
async def watched_erased(
    bus: Bus, keys: Sequence[bytes], changed: Callable[[], None] = lambda: None
) -> AsyncIterator[Erased]:
    """Yield who was erased, kept up to date until the block ends; wait for `complete`."""
    erased = Erased(keys, changed)
    task = asyncio.create_task(_watch(bus, erased))
    try:
        yield erased
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(bus: Bus, erased: Erased) -> None:
    async for entry in bus.kv_watch(ERASED_KV):
        if entry is None:
            erased.all_seen()
        else:
            erased.see(entry)


def _hash(key: bytes, *parts: str) -> str:
    named = b"".join(
        len(raw).to_bytes(4, "big") + raw
        for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    return hmac.digest(key, named, "sha256").hex()[:40]

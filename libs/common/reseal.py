"""Seal everything again with the first key, so that an older one can be taken out of the setting.

Safe beside running services, which open with every key of the setting: each document is written
under the guard of its revision, each bucket's entry likewise, and who was faster is looked at
again. A run that was cut off is just run again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.applied import CONFIGS, Stamp
from libs.common.bus.client import Bus
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import ACCOUNTS, BOTS, AccountDocument, Bot
from libs.common.erased import Tombstone, erasure_keys, fingerprint
from libs.common.errors import SealError, StaleRevisionError
from libs.common.push_keys import vapid_keys
from libs.common.pushes import SUBSCRIPTIONS, PushSubscription
from libs.common.pushes import seal_context as push_context
from libs.common.seal import Sealer
from libs.common.store.api import Collection, Cursor, Document, Page, Store, cursor
from libs.common.subjects import ACCOUNTS_KV, ERASED_KV, TOKENS_KV
from libs.common.webhooks import ENDPOINTS, WebhookEndpoint, WebhookSecret, sealed_for
from libs.common.workspace import publish_directory, workspaces
from libs.common.workspace_apply import finish
from libs.common.workspace_kinds import KINDS
from libs.common.workspace_plan import digest

PAGE = 200
TRIES = 8

Reseal = Callable[[str, str], str]
"""(sealed text, context) to what it is to be; the same where the first key sealed it."""


class Tally(msgspec.Struct, kw_only=True):
    """How many sealed texts of one place stand how.

    `current`: the first key sealed them, `resealed` now; `unknown`: no key of the setting opens
    them, so they are lost, or belong to another installation.
    """

    place: str
    current: int = 0
    resealed: int = 0
    unknown: int = 0
    names: list[str] = []
    """Of what is unknown, where it lies."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What is derived from an older key and cannot be moved: `until` when that key is needed."""

    what: str
    count: int
    until: datetime | None = None
    words: str = ""


class _Kept(msgspec.Struct):
    """As much of an entry of the bucket `tokens` as says whether it is empty."""

    sealed: str = ""


class Resealer:
    """One run.

    Args:
        store: Where the documents are.
        bus: Where the buckets are.
        setting: `RELAYDESK_SECRET_KEY`, the new key first.
        dry_run: Count only; what would be sealed again counts as `resealed`.
    """

    def __init__(self, store: Store, bus: Bus, setting: str, *, dry_run: bool = False) -> None:
        self._store = store
        self._bus = bus
        self._setting = setting
        self._sealer = Sealer.from_setting(setting)
        self._dry = dry_run

    async def run(self) -> list[Tally]:
        """Seal again what an older key sealed; return how all stand, by place.

        Raises:
            GatewayError: The store or the bus is away; what was done stays, run it again.
        """
        kinds: tuple[tuple[str, Collection[Any], str, Any], ...] = (
            ("accounts", ACCOUNTS, "external", _account),
            ("bots", BOTS, "name", _bot),
            ("webhook endpoints", ENDPOINTS, "created", _endpoint),
            ("push subscriptions", SUBSCRIPTIONS, "agent", _subscription),
        )
        tallies = [Tally(place=name) for name, *_ in kinds]
        for workspace in await workspaces(self._store):
            if not self._dry:
                await finish(self._store, workspace)
            digests: dict[str, str] = {}
            for tally, (_, collection, order, change) in zip(tallies, kinds, strict=True):
                async for document in _all(self._store, collection, workspace, order):
                    await self._document(collection, document, change, tally, digests)
            if digests and not self._dry:
                await self._stamp(workspace, digests)
        if not self._dry:
            await publish_directory(self._store, self._bus)
        return [*tallies, await self._directory(), await self._tokens()]

    async def _document(
        self,
        collection: Collection[Any],
        document: Document,
        change: Callable[[Any, Reseal], Document],
        tally: Tally,
        digests: dict[str, str],
    ) -> None:
        for _ in range(TRIES):
            trial = Tally(place=tally.place)
            name = f"{document.workspace}/{document.id}"
            after = change(document, lambda sealed, of: self._again(sealed, of, trial, name))  # noqa: B023 (called here)
            if after == document or self._dry or await self._write(collection, after):
                _add(tally, trial)
                _note(collection, document, after, digests)
                return
            found = await self._store.get(collection, document.workspace, document.id)
            if found is None:
                return
            document = found
        raise StaleRevisionError(f"too many changes of {document.id} at once")

    async def _write(self, collection: Collection[Any], after: Document) -> bool:
        try:
            await self._store.replace(collection, after)
        except StaleRevisionError:
            return False
        return True

    def _again(self, sealed: str, context: str, tally: Tally, name: str) -> str:
        try:
            plain = self._sealer.open(sealed, context)
        except SealError:
            tally.unknown += 1
            tally.names.append(name)
            return sealed
        if self._sealer.is_current(sealed):
            tally.current += 1
            return sealed
        tally.resealed += 1
        return sealed if self._dry else self._sealer.seal(plain, context)

    async def _stamp(self, workspace: str, digests: Mapping[str, str]) -> None:
        """Let what the last file made stand as it is now: nobody has changed it."""
        for _ in range(TRIES):
            record = await self._store.get(CONFIGS, workspace, workspace)
            if record is None or not record.stamp:
                return
            stamp = msgspec.json.decode(record.stamp, type=Stamp)
            now = {
                name: {field: digests.get(text, text) for field, text in fields.items()}
                for name, fields in stamp.items()
            }
            text = msgspec.json.encode(now).decode()
            if now == stamp or await self._write(
                CONFIGS, msgspec.structs.replace(record, stamp=text)
            ):
                return

    async def _directory(self) -> Tally:
        """Count what the bucket of accounts holds: it follows the store."""
        tally = Tally(place="bucket accounts")
        for slug in await self._bus.kv_keys(ACCOUNTS_KV):
            found = await self._bus.kv_get(ACCOUNTS_KV, slug)
            if found is None or found.value is None:
                continue
            entry = msgspec.json.decode(found.value, type=AccountEntry)
            for name, sealed in entry.sealed.items():
                context = seal_context(entry.workspace, slug, name)
                try:
                    self._sealer.open(sealed, context)
                except SealError:
                    tally.unknown += 1
                    tally.names.append(slug)
                    continue
                current = self._sealer.is_current(sealed)
                tally.current += current
                tally.resealed += not current
        return tally

    async def _tokens(self) -> Tally:
        """Seal fetched tokens again; one that does not open is fetched anew by itself."""
        tally = Tally(place="bucket tokens")
        whose = await self._whose()
        for slug in await self._bus.kv_keys(TOKENS_KV):
            for _ in range(TRIES):
                trial = Tally(place=tally.place)
                if await self._token(slug, whose.get(slug, ""), trial):
                    _add(tally, trial)
                    break
            else:
                raise StaleRevisionError(f"too many changes of the token of {slug} at once")
        return tally

    async def _token(self, slug: str, workspace: str, tally: Tally) -> bool:
        found = await self._bus.kv_get(TOKENS_KV, slug)
        if found is None or found.value is None:
            return True
        sealed = msgspec.json.decode(found.value, type=_Kept).sealed
        if not sealed:
            return True
        again = self._again(sealed, f"token:{workspace}/{slug}", tally, slug)
        if again == sealed:
            return True
        whole = msgspec.json.decode(found.value, type=dict[str, Any]) | {"sealed": again}
        value = msgspec.json.encode(whole)
        try:
            await self._bus.kv_put(TOKENS_KV, slug, value, expected_revision=found.revision)
        except StaleRevisionError:
            return False
        return True

    async def _whose(self) -> dict[str, str]:
        return {
            document.id: workspace
            for workspace in await workspaces(self._store)
            async for document in _all(self._store, ACCOUNTS, workspace, "external")
        }

    async def bound(self) -> list[Bound]:
        """Return what older keys are needed for although nothing is sealed with them."""
        current = next(iter(vapid_keys(self._setting)))
        browsers = 0
        for workspace in await workspaces(self._store):
            async for one in _all(self._store, SUBSCRIPTIONS, workspace, "agent"):
                browsers += one.key != current
        words = "these browsers subscribe anew when their agent next opens the console"
        return [
            Bound(what="push subscriptions", count=browsers, words=words),
            await self._tombstones(),
        ]

    async def _tombstones(self) -> Bound:
        """Count the tombstones of erased visitors that an older key names; they cannot be moved."""
        first = fingerprint(erasure_keys(self._setting)[0])
        count, until = 0, None
        for key in await self._bus.kv_keys(ERASED_KV):
            found = await self._bus.kv_get(ERASED_KV, key)
            if found is None or found.value is None:
                continue
            stone = msgspec.json.decode(found.value, type=Tombstone)
            if stone.by != first:
                count += 1
                ends = stone.before.astimezone(UTC) + timedelta(seconds=ERASED_KV.ttl_s)
                until = max(until or ends, ends)
        words = "what comes late of these erased visitors is known by the older key alone"
        return Bound(what="tombstones", count=count, until=until, words=words)


def _account(document: AccountDocument, reseal: Reseal) -> AccountDocument:
    where = (document.workspace, document.id)
    sealed = {name: reseal(text, seal_context(*where, name)) for name, text in _of(document)}
    return msgspec.structs.replace(document, sealed=sealed)


def _bot(document: Bot, reseal: Reseal) -> Bot:
    where = f"bot:{document.workspace}/{document.id}"
    sealed = {name: reseal(text, f"{where}:{name}") for name, text in _of(document)}
    return msgspec.structs.replace(document, sealed=sealed)


def _of(document: AccountDocument | Bot) -> list[tuple[str, str]]:
    return sorted(document.sealed.items())


def _endpoint(document: WebhookEndpoint, reseal: Reseal) -> WebhookEndpoint:
    context = sealed_for(document.workspace, document.id)
    secrets = tuple(
        WebhookSecret(sealed=reseal(one.sealed, context), until=one.until)
        for one in document.secrets
    )
    return msgspec.structs.replace(document, secrets=secrets)


def _subscription(document: PushSubscription, reseal: Reseal) -> PushSubscription:
    context = push_context(document.workspace, document.id)
    return msgspec.structs.replace(document, sealed=reseal(document.sealed, context))


def _note(
    collection: Collection[Any], before: Document, after: Document, digests: dict[str, str]
) -> None:
    """Note as which digest each secret of a file now stands."""
    for kind in KINDS:
        if kind.collection is collection:
            now = kind.secrets(after)
            for field, text in kind.secrets(before).items():
                digests[digest(text)] = digest(now[field])


def _add(tally: Tally, more: Tally) -> None:
    tally.current += more.current
    tally.resealed += more.resealed
    tally.unknown += more.unknown
    tally.names += more.names


async def _all(
    store: Store, collection: Collection[Any], workspace: str, order: str
) -> AsyncIterator[Any]:
    after: Cursor | None = None
    while True:
        page = Page(order=order, after=after, limit=PAGE)
        rows = await store.find(collection, workspace, {}, page)
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = cursor(collection, order, rows[-1])

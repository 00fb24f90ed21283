"""Accounts and policies as ingest, router and notifier see them: watched from key-value buckets.

The store is the record and desk writes both; the buckets let ingest live without a store. Secrets
stay sealed in the bucket and in the cache file, and are opened in memory only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.channel import Account, MessageTemplate
from libs.common.documents import Settings
from libs.common.errors import RetryableError, SealError
from libs.common.policy import Policy
from libs.common.seal import Sealer
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV, Bucket

log = logging.getLogger(__name__)

_NO_POLICY = Policy()
_policy = msgspec.json.Decoder(Policy).decode
"""Made here, in one thread: the first use of a type makes what is known of it, and two threads that
do so at the same time crash."""


class AccountEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An account in the bucket; `sealed` has the secrets by name."""

    workspace: str
    slug: str
    channel: str
    external_id: str
    name: str = ""
    app: str = ""
    api_base: str = ""
    enabled: bool = True
    features: tuple[str, ...] = ()
    templates: tuple[MessageTemplate, ...] = ()
    sealed: dict[str, str] = {}


def seal_context(workspace: str, slug: str, name: str) -> str:
    """Return what a secret is bound to: sealed for one place, it opens in no other."""
    return f"account:{workspace}/{slug}:{name}"


class Directory:
    """The accounts and policies as last seen; lookups never wait."""

    def __init__(self, sealer: Sealer, cache: Path | None = None) -> None:
        self._sealer = sealer
        self._cache = cache
        self._entries: dict[str, AccountEntry] = {}
        self._accounts: dict[str, Account] = {}
        self._apps: dict[str, tuple[Account, ...]] = {}
        self._policies: dict[str, Policy] = {}
        self._watched = 0
        self.ahead: Callable[[Policy], None] | None = None
        """Called in a thread of its own with a policy before it counts: what takes long in it."""
        self.on_policy: list[Callable[[str], None]] = []
        """Called with the workspace whose policy has changed."""
        self.complete = asyncio.Event()
        """Set once every present account and policy has been seen, or a cache was read."""

    def account(self, slug: str) -> Account | None:
        """Return the enabled account of this slug, or None."""
        return self._accounts.get(slug)

    def known(self, slug: str) -> Account | None:
        """Return the account of this slug even if it is switched off, then without its secrets."""
        found, entry = self._accounts.get(slug), self._entries.get(slug)
        if found is not None or entry is None:
            return found
        return _account_of(entry, {})

    def of_app(self, app: str) -> tuple[Account, ...]:
        """Return the enabled accounts that share this app, by slug."""
        return self._apps.get(app, ())

    def accounts(self) -> Iterable[Account]:
        """Return all enabled accounts."""
        return self._accounts.values()

    def policy(self, workspace: str) -> Policy:
        """Return the workspace's policy; the defaults while it has none.

        It is the same object until it changes. Its `version` is the revision of the bucket.
        """
        return self._policies.get(workspace, _NO_POLICY)

    def settings(self, workspace: str) -> Settings:
        """Return the workspace's switches; the defaults while it has none."""
        return self.policy(workspace).settings

    def load_cache(self) -> None:
        """Start from the cache file, so that ingest can verify while NATS is away."""
        if self._cache is None or not self._cache.exists():
            return
        try:
            entries = msgspec.json.decode(self._cache.read_bytes(), type=list[AccountEntry])
        except (OSError, ValueError) as error:
            log.warning("directory.cache_unreadable", extra={"reason": type(error).__name__})
            return
        for entry in entries:
            self._put(entry)
        self._index()
        self.complete.set()

    def put_account(self, slug: str, value: bytes | None) -> None:
        """Apply one change of the accounts bucket; None removes."""
        if value is None:
            self._entries.pop(slug, None)
            self._accounts.pop(slug, None)
        else:
            with suppress(ValueError):
                self._put(msgspec.json.decode(value, type=AccountEntry))
        self._index()

    async def prepare(self, entry: KvEntry) -> None:
        """Do what takes long with a policy that is new, while others have their turn."""
        known = self._policies.get(entry.key)
        seen = known is not None and entry.revision == known.version
        if self.ahead is None or entry.value is None or seen:
            return
        with suppress(ValueError):  # `put_policy` says so
            await asyncio.to_thread(_ahead, self.ahead, entry.value)

    def put_policy(self, entry: KvEntry) -> None:
        """Apply one change of the policy bucket, unless a later one is known."""
        known = self._policies.get(entry.key)
        if entry.revision and known is not None and entry.revision <= known.version:
            return
        if entry.value is None:
            if self._policies.pop(entry.key, None) is None:
                return
        else:
            try:
                policy = _policy(entry.value)
            except ValueError:  # of a newer version: what was seen last stands
                log.error("directory.policy_unreadable", extra={"workspace": entry.key})  # noqa: TRY400
                return
            self._policies[entry.key] = msgspec.structs.replace(policy, version=entry.revision)
        for told in self.on_policy:
            told(entry.key)

    def watch_policy(self, entry: KvEntry) -> None:
        """Apply what the watch tells. Its revisions fall only when the bucket was made anew."""
        if 0 < entry.revision < self._watched:
            self._policies.pop(entry.key, None)
        self._watched = entry.revision or self._watched
        self.put_policy(entry)

    def keep_only(self, slugs: set[str]) -> None:
        """Forget accounts that the bucket does not hold (a cache may be old)."""
        for slug in set(self._entries) - slugs:
            self.put_account(slug, None)

    def save_cache(self) -> None:
        """Write the cache file whole or not at all; secrets are still sealed in it."""
        if self._cache is None:
            return
        draft = self._cache.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode(list(self._entries.values())))
        draft.chmod(0o600)
        draft.replace(self._cache)

    def _put(self, entry: AccountEntry) -> None:
        self._entries[entry.slug] = entry
        self._accounts.pop(entry.slug, None)
        if not entry.enabled:
            return
        try:
            secrets = {
                name: self._sealer.open(sealed, seal_context(entry.workspace, entry.slug, name))
                for name, sealed in entry.sealed.items()
            }
        except SealError:
            log.error("directory.sealed", extra={"account": entry.slug})  # noqa: TRY400 (no trace)
            return
        self._accounts[entry.slug] = _account_of(entry, secrets)

    def _index(self) -> None:
        apps: dict[str, list[Account]] = {}
        for slug in sorted(self._accounts):
            account = self._accounts[slug]
            if account.app:
                apps.setdefault(account.app, []).append(account)
        self._apps = {app: tuple(found) for app, found in apps.items()}


def _ahead(do: Callable[[Policy], None], value: bytes) -> None:
    do(_policy(value))


def _account_of(entry: AccountEntry, secrets: dict[str, str]) -> Account:
    return Account(
        workspace=entry.workspace,
        slug=entry.slug,
        channel=entry.channel,
        external_id=entry.external_id,
        name=entry.name,
        app=entry.app,
        api_base=entry.api_base,
        enabled=entry.enabled,
        secrets=secrets,
        features=entry.features,
        templates=entry.templates,
    )


@asynccontextmanager
async def watched(
    bus: Bus,
    sealer: Sealer,
    *,
    cache: Path | None = None,
    policies: bool = True,
    ahead: Callable[[Policy], None] | None = None,
) -> AsyncIterator[Directory]:
    """Keep a directory up to date until the block ends; without *policies*, of accounts alone.

    *ahead* is `Directory.ahead`.
    """
    directory = Directory(sealer, cache)
    directory.ahead = ahead
    directory.load_cache()
    buckets = (ACCOUNTS_KV, POLICY_KV) if policies else (ACCOUNTS_KV,)
    unseen = {bucket.name for bucket in buckets}
    tasks = [asyncio.create_task(_follow(bus, directory, bucket, unseen)) for bucket in buckets]
    try:
        yield directory
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def refresh_policy(bus: Bus, directory: Directory, workspace: str) -> None:
    """Look at a workspace's policy in the bucket itself, past what the watch has told so far.

    While NATS does not answer, what was seen last stands.
    """
    with suppress(RetryableError):
        entry = await bus.kv_get(POLICY_KV, workspace)
        if entry is not None:
            await directory.prepare(entry)
        directory.put_policy(entry or KvEntry(key=workspace, value=None, revision=0))


async def _follow(bus: Bus, directory: Directory, bucket: Bucket, unseen: set[str]) -> None:
    """Apply one bucket's entries; it leaves *unseen* once all that is present was seen."""
    present: set[str] = set()
    async for entry in bus.kv_watch(bucket):
        if entry is not None:
            present.add(entry.key)
            if bucket is POLICY_KV:
                await directory.prepare(entry)
            _apply(directory, bucket, entry)
        else:
            unseen.discard(bucket.name)
            if bucket is ACCOUNTS_KV:
                directory.keep_only(present)
            if not unseen:
                directory.complete.set()
        if bucket is ACCOUNTS_KV and bucket.name not in unseen:
            directory.save_cache()


def _apply(directory: Directory, bucket: Bucket, entry: KvEntry) -> None:
    if bucket is ACCOUNTS_KV:
        directory.put_account(entry.key, entry.value)
    else:
        directory.watch_policy(entry)

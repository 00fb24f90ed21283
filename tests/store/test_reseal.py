"""A rotation of the secret key: seal again, take the old key out, and everything still opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import pytest

from libs.common.bots.secrets import open_secret, seal_secret
from libs.common.bus.client import Bus, open_bus
from libs.common.channels import CHANNELS
from libs.common.cli.main import main
from libs.common.directory import AccountEntry, seal_context, watched
from libs.common.documents import (
    ACCOUNTS,
    BOTS,
    COLLECTIONS,
    DIRECTORY,
    SYSTEM,
    WORKSPACES,
    AccountDocument,
    Bot,
    DirectoryEntry,
    Workspace,
)
from libs.common.erased import Tombstone, bury, erasure_keys
from libs.common.errors import StaleRevisionError
from libs.common.pushes import SUBSCRIPTIONS, PushSubscription
from libs.common.pushes import seal_context as push_context
from libs.common.reseal import Resealer, Tally
from libs.common.seal import Sealer, new_key_setting
from libs.common.simulate.signing import signed
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, ERASED_KV, TOKENS_KV, Bucket
from libs.common.webhooks import ENDPOINTS, WebhookEndpoint, WebhookSecret, sealed_for
from libs.common.workspace import publish_directory
from tests.nats_server import NatsProcess

WS, LINE = "acme", "acme-line"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Site(NamedTuple):
    """A store and a bus with one of everything that is sealed, by the key `old`."""

    store: Store
    bus: Bus
    old: str
    url: str
    nats: str


@pytest.fixture
async def site(store_url: str, nats_process: NatsProcess) -> AsyncIterator[Site]:
    async with (
        open_store(store_url, COLLECTIONS) as store,
        open_bus(nats_process.url, name="test", publish_timeout_s=10) as bus,
    ):
        made = Site(store, bus, new_key_setting(), store_url, nats_process.url)
        await furnish(made)
        yield made


async def furnish(site: Site) -> None:
    store, sealer = site.store, Sealer.from_setting(site.old)
    entry = DirectoryEntry(id=f"workspace:{WS}", workspace=SYSTEM, kind="workspace", targets=(WS,))
    await store.insert(DIRECTORY, entry)
    await store.insert(WORKSPACES, Workspace(id=WS, workspace=WS))
    secrets = {"channel_secret": "the channel's secret", "channel_token": "the token"}
    await store.insert(
        ACCOUNTS,
        AccountDocument(
            id=LINE,
            workspace=WS,
            channel="line",
            external_id="U1",
            sealed={n: sealer.seal(v, seal_context(WS, LINE, n)) for n, v in secrets.items()},
        ),
    )
    await store.insert(
        BOTS,
        Bot(
            id="bot1",
            workspace=WS,
            name="Bot",
            kind="webhook",
            sealed=seal_secret(sealer, WS, "bot1", "whsec_x"),
        ),
    )
    of_hook = sealed_for(WS, "hook1")
    await store.insert(
        ENDPOINTS,
        WebhookEndpoint(
            id="hook1",
            workspace=WS,
            url="https://example.org/",
            created_at=NOW,
            secrets=tuple(
                WebhookSecret(sealed=sealer.seal(one, of_hook)) for one in ("new", "before")
            ),
        ),
    )
    await store.insert(
        SUBSCRIPTIONS,
        PushSubscription(
            id="psh1",
            workspace=WS,
            agent="amy",
            host="push.example.org",
            key="older",
            created_at=NOW,
            sealed=sealer.seal("endpoint", push_context(WS, "psh1")),
        ),
    )
    await publish_directory(store, site.bus)
    kept = {"sealed": sealer.seal("fetched", f"token:{WS}/{LINE}"), "expires_at": NOW}
    await site.bus.kv_put(TOKENS_KV, LINE, msgspec.json.encode(kept))
    await bury(site.bus, erasure_keys(site.old), WS, (LINE, "U9"), NOW)


async def opened(site: Site, setting: str) -> list[str]:
    """Return every secret, as the services that have only the keys of *setting* open them."""
    store, sealer = site.store, Sealer.from_setting(setting)
    bot = await store.get(BOTS, WS, "bot1")
    hook = await store.get(ENDPOINTS, WS, "hook1")
    push = await store.get(SUBSCRIPTIONS, WS, "psh1")
    token = await site.bus.kv_get(TOKENS_KV, LINE)
    assert bot
    assert hook
    assert push
    assert token
    assert token.value
    async with watched(site.bus, sealer) as directory:
        await directory.complete.wait()
        account = directory.account(LINE)
    assert account is not None
    return [
        account.secret("channel_secret"),
        account.secret("channel_token"),
        open_secret(sealer, bot),
        *(sealer.open(one.sealed, sealed_for(WS, "hook1")) for one in hook.secrets),
        sealer.open(push.sealed, push_context(WS, "psh1")),
        sealer.open(msgspec.json.decode(token.value)["sealed"], f"token:{WS}/{LINE}"),
    ]


def counts(tallies: list[Tally]) -> dict[str, tuple[int, int, int]]:
    return {one.place: (one.current, one.resealed, one.unknown) for one in tallies}


async def test_after_a_rotation_the_old_key_can_go(site: Site) -> None:
    new = new_key_setting()
    both = f"{new},{site.old}"
    before = await opened(site, site.old)
    tallies = await Resealer(site.store, site.bus, both).run()
    assert counts(tallies) == {
        "accounts": (0, 2, 0),
        "bots": (0, 1, 0),
        "webhook endpoints": (0, 2, 0),
        "push subscriptions": (0, 1, 0),
        "bucket accounts": (2, 0, 0),
        "bucket tokens": (0, 1, 0),
    }
    assert await opened(site, new) == before
    again = await Resealer(site.store, site.bus, new).run()
    assert all((one.resealed, one.unknown) == (0, 0) for one in again)


async def test_after_a_rotation_webhooks_verify_by_the_new_key_alone(site: Site) -> None:
    new = new_key_setting()
    await Resealer(site.store, site.bus, f"{new},{site.old}").run()
    async with watched(site.bus, Sealer.from_setting(new)) as directory:
        await directory.complete.wait()
        account = directory.account(LINE)
    assert account is not None
    CHANNELS["line"].verify(account, signed(account, b'{"events": []}', now=NOW))


async def test_a_dry_run_counts_and_writes_nothing(site: Site) -> None:
    both = f"{new_key_setting()},{site.old}"
    before = await site.store.get(ACCOUNTS, WS, LINE)
    tallies = await Resealer(site.store, site.bus, both, dry_run=True).run()
    assert sum(one.resealed for one in tallies) == 9
    assert await site.store.get(ACCOUNTS, WS, LINE) == before


async def test_what_no_key_opens_is_named_and_left(site: Site) -> None:
    tallies = await Resealer(site.store, site.bus, new_key_setting()).run()
    assert counts(tallies)["accounts"] == (0, 0, 2)
    assert tallies[0].names == [f"{WS}/{LINE}"] * 2
    assert await opened(site, site.old)


async def test_a_change_in_between_is_not_lost(site: Site) -> None:
    """An agent gives the account a new token while everything is sealed again, many times."""
    new = new_key_setting()
    both = f"{new},{site.old}"
    sealer = Sealer.from_setting(both)

    async def change(number: int) -> None:
        found = await site.store.get(ACCOUNTS, WS, LINE)
        assert found is not None
        text = sealer.seal(f"token {number}", seal_context(WS, LINE, "channel_token"))
        sealed = found.sealed | {"channel_token": text}
        await site.store.replace(ACCOUNTS, msgspec.structs.replace(found, sealed=sealed))

    await asyncio.gather(change(1), *(Resealer(site.store, site.bus, both).run() for _ in range(3)))
    await publish_directory(site.store, site.bus)
    assert (await opened(site, new))[1] == "token 1"


async def test_a_token_that_is_always_changed_ends_the_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not said so, the old key would be taken out though the token needs it."""
    real = site.bus.kv_put

    async def lost(bucket: Bucket, key: str, value: bytes, **guard: int | None) -> int:
        if bucket is TOKENS_KV:
            raise StaleRevisionError("somebody was faster")
        return await real(bucket, key, value, **guard)

    monkeypatch.setattr(site.bus, "kv_put", lost)
    with pytest.raises(StaleRevisionError, match="token of acme-line"):
        await Resealer(site.store, site.bus, f"{new_key_setting()},{site.old}").run()


async def test_what_hangs_on_the_old_key_is_told(site: Site) -> None:
    resealer = Resealer(site.store, site.bus, f"{new_key_setting()},{site.old}")
    push, stones = await resealer.bound()
    assert (push.count, stones.count) == (1, 1)
    assert stones.until is not None
    assert (stones.until - NOW).total_seconds() == ERASED_KV.ttl_s
    stays = Resealer(site.store, site.bus, site.old)
    assert [one.count for one in await stays.bound()] == [1, 0]


def test_a_tombstone_of_before_has_no_fingerprint() -> None:
    old = msgspec.json.decode(b'{"before":"2026-03-01T00:00:00Z"}', type=Tombstone)
    assert old.by == ""


async def test_the_command_says_what_is_left(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELAYDESK_STORE_URL", site.url)
    monkeypatch.setenv("RELAYDESK_NATS_URL", site.nats)
    monkeypatch.setenv("RELAYDESK_SECRET_KEY", f"{new_key_setting()},{site.old}")

    async def run(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["reseal", *words])
        return code, capsys.readouterr().out

    assert (await run("--dry-run"))[0] == 1
    code, out = await run()
    assert (code, "accounts: 0 on the first key, 2 sealed again" in out) == (0, True)
    code, out = await run("--json", "--dry-run")
    assert (code, msgspec.json.decode(out)["sealed"][0]["current"]) == (0, 2)
    entry = await site.bus.kv_get(ACCOUNTS_KV, LINE)
    assert entry is not None
    assert entry.value
    text = msgspec.json.decode(entry.value, type=AccountEntry).sealed["channel_token"]
    assert not text.startswith(site.old.partition(":")[0])

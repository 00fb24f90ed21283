"""What is wrong with the servers beneath, and with what lies about: for CronJobs as for people.

What a client cannot see is said to be unknown: NATS tells nobody its `sync_interval`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from libs.common.bus.ask import ApiError
from libs.common.bus.client import Bus, open_bus
from libs.common.dead.letter import Chosen
from libs.common.dead.redrive import letters
from libs.common.directory import AccountEntry
from libs.common.doctor.findings import Check, note, ok, wrong
from libs.common.documents import COLLECTIONS
from libs.common.errors import GatewayError
from libs.common.fill import is_filled
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import STREAMS
from libs.common.workspace import workspaces
from libs.common.workspace_drift import drift_of

WAIT_S = 15.0
FULL = 0.8
"""Part of the storage from which on it is a fault: JetStream refuses everything when it is full."""
MOST_LETTERS = 10_000
_HERE = frozenset({"", "127.0.0.1", "::1", "localhost"})


async def look_at_platform(settings: Mapping[str, str]) -> AsyncIterator[Check]:
    """Yield what is found on the servers that *settings* lead to; changes nothing."""
    for check in look_at_transport(settings):
        yield check
    spool = settings.get("RELAYDESK_SPOOL_DIR", "")
    if spool:
        yield look_at_spool(Path(spool))
    try:
        async with asyncio.timeout(WAIT_S), AsyncExitStack() as stack:
            found = [check async for check in _servers(settings, stack)]
    except (GatewayError, TimeoutError):
        yield note("platform", "not looked at: a server does not answer, see above")
        return
    for check in found:
        yield check


async def _servers(settings: Mapping[str, str], stack: AsyncExitStack) -> AsyncIterator[Check]:
    nats, url = settings.get("RELAYDESK_NATS_URL", ""), settings.get("RELAYDESK_STORE_URL", "")
    if nats:
        opened = open_bus(nats, name="doctor", provision=False)
        bus = await stack.enter_async_context(opened)
        wanted = int(settings.get("RELAYDESK_STREAM_REPLICAS", "1") or 1)
        async for check in _jetstream(bus, wanted, settings):
            yield check
    if url:
        store = await stack.enter_async_context(open_store(url, COLLECTIONS))
        async for check in _stored(store):
            yield check


async def _jetstream(bus: Bus, replicas: int, settings: Mapping[str, str]) -> AsyncIterator[Check]:
    account = await bus.asker.api("INFO")
    limit = int(settings.get("RELAYDESK_JETSTREAM_LIMIT_BYTES", "0") or 0)
    limits = account.get("limits", {}).get("max_storage", -1)
    yield look_at_storage(account.get("storage", 0), limits if limits > 0 else limit)
    for stream in STREAMS:
        try:
            info = await bus.asker.api(f"STREAM.INFO.{stream.name}")
            told = await bus.asker.api(f"CONSUMER.LIST.{stream.name}", {"offset": 0})
        except ApiError:
            continue  # its absence is told of elsewhere
        for check in look_at_stream(info, replicas):
            yield check
        for check in look_at_consumers(stream.name, info, told.get("consumers") or ()):
            yield check
    by: Counter[tuple[str, str]] = Counter()
    async for letter in letters(bus, Chosen()):
        by[letter.service, letter.reason] += 1
        if by.total() >= MOST_LETTERS:
            break
    yield look_at_dead(by)


def look_at_dead(by: Mapping[tuple[str, str], int]) -> Check:
    """Return whether messages were given up, by service and reason."""
    if not by:
        return ok("dead letters", "there are none")
    told = ", ".join(f"{n} of {who} ({why or 'no reason'})" for (who, why), n in sorted(by.items()))
    return wrong("dead letters", f"{told}: see `relaydesk dead list`")


def look_at_storage(used: int, limit: int) -> Check:
    """Return whether JetStream has room left; *limit* 0: nobody said how much it has."""
    if limit <= 0:
        words = f"{used} bytes used; the limit is unknown: set RELAYDESK_JETSTREAM_LIMIT_BYTES"
        return note("jetstream storage", words)
    words = f"{used} of {limit} bytes used ({used / limit:.0%})"
    if used / limit >= FULL:
        return wrong("jetstream storage", f"{words}: enlarge it before it is full")
    return ok("jetstream storage", words)


def look_at_stream(info: Mapping[str, Any], replicas: int) -> Iterator[Check]:
    """Yield what is wrong with the copies of a stream."""
    name = f"stream {info['config']['name']}"
    there = info["config"].get("num_replicas", 1)
    if there < replicas:
        yield wrong(name, f"has {there} copies, not {replicas} (RELAYDESK_STREAM_REPLICAS)")
    cluster = info.get("cluster") or {}
    if there > 1 and not cluster.get("leader"):
        yield wrong(name, "has no leader: it takes nothing")
    for peer in cluster.get("replicas") or ():
        if peer.get("offline") or not peer.get("current", True):
            yield wrong(name, f"the copy on {peer.get('name')} is offline or behind")


def look_at_consumers(
    stream: str, info: Mapping[str, Any], consumers: Iterable[Mapping[str, Any]]
) -> Iterator[Check]:
    """Yield which durable consumers stand where they cannot, or have work and no reader."""
    last = info["state"]["last_seq"]
    for one in consumers:
        if not one.get("config", {}).get("durable_name"):
            continue
        name = f"consumer {stream} {one['name']}"
        floor = one.get("ack_floor", {}).get("stream_seq", 0)
        if floor > last:
            words = f"has settled up to {floor}, but the stream ends at {last}: an older copy was"
            yield wrong(name, f"{words} restored; a running service builds it anew")
        waiting = one.get("num_pending", 0) + one.get("num_ack_pending", 0)
        if waiting and not one.get("num_waiting", 0) and not one.get("num_ack_pending", 0):
            yield wrong(name, f"{waiting} messages wait and nobody asks for them: is it running?")


def look_at_spool(folder: Path) -> Check:
    """Return whether webhooks lie in ingest's spool, which drains by itself while NATS is there.

    Where no ingest has ever opened *folder* (it leaves its lock file), nothing is known of a spool.
    """
    try:
        files = [one for one in folder.rglob("*") if one.is_file() and one.stat().st_size]
        size = sum(one.stat().st_size for one in files if not one.name.endswith((".lock", ".json")))
    except OSError as error:
        return note("spool", f"{folder} cannot be read here: {error.strerror}")
    if size:
        return note("spool", f"{size} bytes in {folder}: webhooks that JetStream has not confirmed")
    if not (folder / "lock").exists():
        words = (
            "no ingest runs here, so its spool is not seen: relaydesk_ingest_spool_records tells"
        )
        return note("spool", words)
    return ok("spool", "is empty")


def look_at_keys(entries: Iterable[AccountEntry], sealer: Sealer) -> Check:
    """Return whether secrets are sealed with a key that is no longer the first."""
    older = sorted(
        {one.slug for one in entries for text in one.sealed.values() if not sealer.is_current(text)}
    )
    if older:
        words = f"secrets of {', '.join(older)} are sealed with an older key: `relaydesk reseal`"
        return note("keys", words)
    return ok("keys", "the accounts' secrets are sealed with the first key")


def look_at_transport(settings: Mapping[str, str]) -> Iterator[Check]:
    """Yield which servers on other machines are spoken to without TLS."""
    for one in settings.get("RELAYDESK_NATS_URL", "").split(","):
        parts = urlsplit(one.strip())
        if parts.hostname and parts.hostname not in _HERE and parts.scheme not in {"tls", "wss"}:
            yield note("tls", f"NATS at {parts.hostname} is spoken to without TLS (tls://...)")
    store = urlsplit(settings.get("RELAYDESK_STORE_URL", ""))
    if store.scheme != "mongodb" or (store.hostname or "") in _HERE:
        return  # mongodb+srv has TLS by default
    asked = {name.lower(): values[-1] for name, values in parse_qs(store.query).items()}
    if asked.get("tls", asked.get("ssl", "false")) != "true":
        yield note("tls", f"MongoDB at {store.hostname} is spoken to without TLS (tls=true)")
    if "replicaset" not in asked:
        yield note("store", "the URL names no replicaSet: a change of the primary goes unnoticed")
    if asked.get("w", "majority") != "majority" or asked.get("journal", "true") != "true":
        yield wrong("store", "the URL weakens the writes: it must not set w or journal")


async def _stored(store: Store) -> AsyncIterator[Check]:
    if await is_filled(store):
        yield ok("migrations", "are done")
    else:
        yield note("migrations", "older documents lack what search finds: `relaydesk migrate`")
    for workspace in await workspaces(store):
        drift = await drift_of(store, workspace)
        if drift.objects:
            names = ", ".join(one.object for one in drift.objects[:5])
            words = f"{len(drift.objects)} objects are not as the file said: {names}"
            yield note(f"drift {workspace}", f"{words}; see `relaydesk config drift`")

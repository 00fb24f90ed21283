"""What is wrong with an installation: settings, bus, store, files, secrets, accounts, clock."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import nats
from nats.errors import Error as NatsError

from libs.common.bus.provision import bucket_config, drift, stream_config
from libs.common.channels import CHANNELS
from libs.common.clocks import LIMIT_S, Skew, skew
from libs.common.config import SERVICES, load
from libs.common.directory import AccountEntry, seal_context
from libs.common.doctor.findings import Check, note, ok, wrong
from libs.common.doctor.health import (
    Rhythms,
    Sightings,
    look_at_health,
    read_health,
    read_rhythms,
)
from libs.common.doctor.ledgers import look_at_ledgers, read_ledgers
from libs.common.doctor.mail import look_at_mail
from libs.common.doctor.platform import look_at_keys, look_at_platform
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM
from libs.common.errors import GatewayError, SealError, SettingsError
from libs.common.files.open import open_files
from libs.common.seal import Sealer
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, BUCKETS, STREAMS

OLDEST_NATS = (2, 12, 3)
WAIT_S = 3.0


async def examine(settings: Mapping[str, str]) -> AsyncIterator[Check]:
    """Look at everything that *settings* lead to; changes nothing, repeats nothing secret."""
    away: set[str] = set()
    async for check in _examined(settings):
        if check.grade == "wrong":
            away.update(_AWAY.get(check.name, ()))
        yield check
    there = {name: value for name, value in settings.items() if name not in away}
    async for check in look_at_platform(there):
        yield check


_AWAY = {
    "nats": ("RELAYDESK_NATS_URL",),
    "jetstream": ("RELAYDESK_NATS_URL",),
    "store": ("RELAYDESK_STORE_URL",),
}
"""What a fault keeps from being looked at any further."""


class _Bus(msgspec.Struct):
    """What lies on the bus; `whole` once all of it has been read."""

    entries: dict[str, AccountEntry] = {}
    sightings: Sightings = {}
    rhythms: Rhythms = {}
    whole: bool = False


async def _examined(settings: Mapping[str, str]) -> AsyncIterator[Check]:
    for check in look_at_settings(settings):
        yield check
    sealer = _sealer(settings)
    read = _Bus()
    async for check in _bus(settings.get("RELAYDESK_NATS_URL", ""), read):
        yield check
    every = read.entries.values()
    for check in _accounts(read, sealer):
        yield check
    if sealer is not None and every:
        yield look_at_keys(every, sealer)
    async for check in _store(settings.get("RELAYDESK_STORE_URL", "")):
        yield check
    yield await _files(settings)
    yield await look_at_mail(settings)
    for check in look_at_public_url(settings.get("RELAYDESK_PUBLIC_URL", ""), every):
        yield check


# --- settings ----------------------------------------------------------------------------------


def look_at_settings(settings: Mapping[str, str]) -> Iterator[Check]:
    """Yield what is wrong with the settings, each fault once."""
    faults: dict[str, list[str]] = {}
    for service, kind in SERVICES.items():
        try:
            load(kind, settings)
        except SettingsError as error:
            faults.setdefault(error.detail, []).append(service)
    for detail, services in faults.items():
        yield wrong("settings", f"{detail} (for {', '.join(services)})")
    if not faults:
        yield ok("settings", "all five services can read theirs")
    text = settings.get("RELAYDESK_SECRET_KEY", "")
    try:
        yield ok("secret key", repr(Sealer.from_setting(text)))
    except SettingsError as error:
        yield wrong("secret key", error.detail)


def _sealer(settings: Mapping[str, str]) -> Sealer | None:
    try:
        return Sealer.from_setting(settings.get("RELAYDESK_SECRET_KEY", ""))
    except SettingsError:
        return None


# --- NATS --------------------------------------------------------------------------------------


async def _bus(url: str, read: _Bus) -> AsyncIterator[Check]:
    if not url:
        yield wrong("nats", "RELAYDESK_NATS_URL is not set")
        return
    faults: list[Exception] = []

    async def remember(error: Exception) -> None:  # the client's own prints a traceback
        faults.append(error)

    try:
        async with asyncio.timeout(WAIT_S):
            connection = await nats.connect(
                url.split(","),
                name="doctor",
                allow_reconnect=False,
                connect_timeout=2,
                error_cb=remember,
            )
    except (NatsError, OSError, TimeoutError) as error:
        yield wrong("nats", f"does not answer: {reason(faults[-1] if faults else error)}")
        return
    try:
        version = connection.connected_server_version
        yield look_at_version((version.major, version.minor, version.patch))
        async for check in _jetstream(connection):
            yield check
        await _read_accounts(connection, read.entries)
        await read_health(connection, read.sightings)
        await read_rhythms(connection, read.rhythms)
        read.whole = True
    except (NatsError, TimeoutError) as error:
        yield wrong("jetstream", f"does not answer: {type(error).__name__}")
    finally:
        await connection.close()


def reason(error: Exception) -> str:
    """Return why a connection failed, in the system's words where it has some."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    told = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def look_at_version(version: tuple[int, int, int]) -> Check:
    """Return whether a server's version is safe."""
    text = ".".join(map(str, version))
    if version < OLDEST_NATS:
        return wrong("nats", f"version {text} is too old: 2.12.3 is the oldest that is safe")
    return ok("nats", f"version {text}")


async def _jetstream(connection: Any) -> AsyncIterator[Check]:
    wanted = [stream_config(stream, 1) for stream in STREAMS]
    wanted += [bucket_config(bucket, 1) for bucket in BUCKETS]
    sound = 0
    found: list[Skew] = []
    for config in wanted:
        asked, began = time.time(), time.monotonic()
        info = await _api(connection, f"STREAM.INFO.{config['name']}")
        if "ts" in info:
            told = msgspec.convert(info["ts"], datetime).timestamp()
            found.append(skew(asked, told, time.monotonic() - began))
        if "config" not in info:
            words = f"{config['name']} is absent: `relaydesk migrate` or a started service makes it"
            yield wrong("stream", words)
            continue
        different = drift(config, info["config"])
        if different:
            yield wrong("stream", f"{config['name']} differs in {', '.join(sorted(different))}")
        else:
            sound += 1
    yield ok("streams", f"{sound} of {len(wanted)} are as declared")
    if found:
        yield look_at_clock(min(found, key=lambda each: each.error_s))
    yield note(
        "sync",
        "a client cannot see sync_interval: it must be `always`, or a power cut loses what was "
        "acknowledged",
    )


def look_at_clock(found: Skew) -> Check:
    """Return whether this machine's clock agrees with the server's, within a second."""
    if found.apart:
        return wrong("clock", found.words)
    return ok("clock", f"agrees with the NATS server's within {LIMIT_S:.0f} s")


async def _api(connection: Any, verb: str) -> dict[str, Any]:
    answer = await connection.request(f"$JS.API.{verb}", b"", timeout=WAIT_S)
    found: dict[str, Any] = msgspec.json.decode(answer.data)
    return found


async def _read_accounts(connection: Any, entries: dict[str, AccountEntry]) -> None:
    try:
        bucket = await connection.jetstream().key_value(ACCOUNTS_KV.name)
        for slug in await bucket.keys():
            value = (await bucket.get(slug)).value
            entries[slug] = msgspec.json.decode(value or b"", type=AccountEntry)
    except (NatsError, ValueError):
        return  # no bucket or no keys: the stream check has told of it


# --- accounts ----------------------------------------------------------------------------------


def _accounts(read: _Bus, sealer: Sealer | None) -> Iterator[Check]:
    if read.whole or read.entries:
        every = read.entries.values()
        yield from look_at_accounts(every, sealer)
        yield from look_at_health(every, read.sightings, read.rhythms)
    else:
        yield note("accounts", "cannot be read without NATS")


def look_at_accounts(entries: Any, sealer: Sealer | None) -> Iterator[Check]:
    """Yield what is wrong with each account: an unknown channel, absent or sealed secrets."""
    found = sorted(entries, key=lambda entry: str(entry.slug))
    if not found:
        yield note("accounts", "there are none")
    for entry in found:
        faults = tuple(_faults(entry, sealer))
        name = f"account {entry.slug}"
        if faults:
            yield from (wrong(name, fault) for fault in faults)
        elif not entry.enabled:
            yield note(name, "is switched off")
        else:
            yield ok(name, f"{entry.channel} {entry.external_id}")


def _faults(entry: AccountEntry, sealer: Sealer | None) -> Iterator[str]:
    channel = CHANNELS.get(entry.channel)
    if channel is None:
        yield f"channel {entry.channel} is not known; known are {', '.join(sorted(CHANNELS))}"
        return
    if not entry.external_id:
        yield "has no external_id"
    if channel.addressees is not None and not entry.app:
        yield "has no app: its webhook address cannot be named"
    yield from (f"has no {name}" for name in channel.secrets if name not in entry.sealed)
    if sealer is not None:
        yield from _unopened(entry, sealer, channel.secrets)


def _unopened(entry: AccountEntry, sealer: Sealer, needed: tuple[str, ...]) -> Iterator[str]:
    for name, sealed in sorted(entry.sealed.items()):
        try:
            value = sealer.open(sealed, seal_context(entry.workspace, entry.slug, name))
        except SealError:
            yield f"{name} was sealed with another RELAYDESK_SECRET_KEY, or for another account"
            continue
        if not value and name in needed:
            yield f"{name} is empty"


# --- store, files, addresses -------------------------------------------------------------------


async def _store(url: str) -> AsyncIterator[Check]:
    if not url:
        yield wrong("store", "RELAYDESK_STORE_URL is not set")
        return
    try:
        async with asyncio.timeout(10), open_store(url, COLLECTIONS) as store:
            await store.get(DIRECTORY, SYSTEM, "schema")
            ledgers = await read_ledgers(store)
    except (GatewayError, TimeoutError) as error:
        yield wrong("store", getattr(error, "detail", "does not answer"))
        return
    yield ok("store", url.partition("://")[0])
    for check in look_at_ledgers(ledgers):
        yield check


async def _files(settings: Mapping[str, str]) -> Check:
    store_url = settings.get("RELAYDESK_STORE_URL", "")
    url = settings.get("RELAYDESK_FILES_URL", "")
    try:
        async with asyncio.timeout(10), open_files(url, store_url) as files:
            await files.check()
    except (GatewayError, TimeoutError) as error:
        return wrong("files", getattr(error, "detail", "do not answer"))
    return ok("files", url.partition(":")[0] or "beside the store")


def look_at_public_url(url: str, entries: Any) -> Iterator[Check]:
    """Yield whether the providers can reach us, and fetch files from a link."""
    linked = sorted(
        entry.slug
        for entry in entries
        if entry.channel in CHANNELS and CHANNELS[entry.channel].needs_link
    )
    if not url:
        why = f"{', '.join(linked)} can send no files without it" if linked else "no links are made"
        yield note("public url", f"RELAYDESK_PUBLIC_URL is not set: {why}")
        return
    parts = urlsplit(url)
    if parts.hostname in {"127.0.0.1", "::1", "localhost"}:
        yield note("public url", f"{parts.hostname} is this machine: for trials only")
    elif parts.scheme != "https":
        yield wrong("public url", "is not https: providers neither post nor fetch from it")
    elif _is_inside(parts.hostname or ""):
        yield wrong("public url", f"{parts.hostname} cannot be reached from the internet")
    else:
        yield ok("public url", url)


def _is_inside(host: str) -> bool:
    if host in {"", "localhost"} or host.endswith((".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False

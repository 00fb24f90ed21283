"""`relaydesk ledger`: what became of every event and message, and which are missing."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common.cli.admin import environment, need, where
from libs.common.doctor.ledgers import read_ledgers, words_of
from libs.common.documents import AUDIT, COLLECTIONS, SYSTEM, AuditEntry
from libs.common.errors import NotFoundError, StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.ledger.page import LEDGERS, Ledger, missing_of, written_off
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import INBOUND, OUTBOUND

_EPILOG = "exit codes: 0 nothing is missing, 1 something is, 2 wrong use or settings"
_STREAMS = (INBOUND.name, OUTBOUND.name)


def add_parser(commands: Any) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    ledger = commands.add_parser(
        "ledger", help="what became of every event and message; which are missing", epilog=_EPILOG
    )
    where(ledger)
    ledger.add_argument("--json", action="store_true", help="one JSON object a line")
    ledger.set_defaults(run=lambda args: asyncio.run(_show(args)))
    verbs = ledger.add_subparsers(dest="verb", metavar="write-off")
    off = verbs.add_parser(
        "write-off", help="give missing ones up: they count as written_off from now on"
    )
    off.add_argument("event", nargs="*", metavar="ID", help="event ids, as `relaydesk ledger` says")
    off.add_argument("--all", action="store_true", help="all that are missing now")
    off.add_argument("--stream", choices=_STREAMS, default=INBOUND.name)
    off.add_argument("--yes", action="store_true", help="needed: nobody is told of them again")
    where(off)
    off.set_defaults(run=lambda args: asyncio.run(_write_off(off, args)))


async def _show(args: argparse.Namespace) -> int:
    settings = environment(args.data_dir)
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        ledgers = await read_ledgers(store)
    for ledger in ledgers:
        print("\n".join(_json(ledger) if args.json else told(ledger)))
    if not ledgers and not args.json:
        print("there is no ledger yet: router and notifier make theirs once they run")
    return 1 if any(ledger.missing for ledger in ledgers) else 0


def told(ledger: Ledger) -> Iterator[str]:
    """Yield a ledger as it is printed: sums by channel, then what is missing."""
    yield f"{ledger.id}: {sum(ledger.passed.values())} passed, up to sequence {ledger.sequence}"
    missing = missing_of(ledger)
    for channel, passed in sorted(ledger.passed.items()):
        sums = ledger.outcomes.get(channel, {})
        parts = [f"{word} {count}" for word, count in sorted(sums.items())]
        yield f"  {channel}: {passed} = {' + '.join([*parts, f'missing {missing[channel]}'])}"
    if ledger.expired:
        yield f"  {ledger.expired} places were empty when the ledger came by"
    for one in ledger.missing:
        yield f"  missing  {words_of(one)}"


def _json(ledger: Ledger) -> Iterator[str]:
    yield msgspec.json.encode(ledger).decode()


async def _write_off(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    if bool(args.event) == args.all:
        parser.error("name the events, or --all")
    if not args.yes:
        parser.error("--yes is needed: what is written off is missed by nobody from then on")
    settings = environment(args.data_dir)
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        gone = await write_off(store, args.stream, None if args.all else args.event)
    print(f"{gone} written off")
    return 0 if gone else 1


async def write_off(store: Store, stream: str, events: list[str] | None) -> int:
    """Write *events* of *stream* off, all that are missing for None; return how many.

    Raises:
        NotFoundError: There is no such ledger.
        StoreUnavailableError: The store is away.
    """
    while True:
        ledger = await store.get(LEDGERS, SYSTEM, stream)
        if ledger is None:
            raise NotFoundError(f"there is no ledger of {stream} yet")
        after = written_off(ledger, events)
        gone = len(ledger.missing) - len(after.missing)
        if not gone:
            return 0
        with suppress(StaleRevisionError):  # the service counts at the same time: look again
            await store.replace(LEDGERS, after)
            await _note(store, ledger, after)
            return gone


async def _note(store: Store, before: Ledger, after: Ledger) -> None:
    left = set(after.missing)
    rows = [msgspec.to_builtins(one) for one in before.missing if one not in left]
    entry = AuditEntry(
        id=derive_id("aud", "ledger", before.id, str(before.rev)),
        workspace=SYSTEM,
        at=datetime.now(UTC),
        actor=f"operator:{os.environ.get('USER', os.getuid())}",
        action="ledger.write_off",
        object=f"ledger:{before.id}",
        before=msgspec.json.encode(rows).decode(),
    )
    with suppress(UniqueConflictError):
        await store.insert(AUDIT, entry)

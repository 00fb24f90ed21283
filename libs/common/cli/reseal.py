"""`relaydesk reseal`: finish a rotation of RELAYDESK_SECRET_KEY."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from libs.common.bus.client import open_bus
from libs.common.cli.admin import environment, need, where
from libs.common.documents import COLLECTIONS
from libs.common.reseal import Bound, Resealer, Tally
from libs.common.store.open import open_store

_EPILOG = (
    "RELAYDESK_SECRET_KEY holds the new key first and the older ones behind it, here and in every "
    "running service. Exit codes: 0 nothing sealed needs an older key, 1 something does (with "
    "--dry-run: would be sealed again) or cannot be opened, 2 wrong use or settings."
)


def add_parser(commands: Any) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    reseal = commands.add_parser(
        "reseal", help="seal every stored secret again with the first secret key", epilog=_EPILOG
    )
    reseal.add_argument("--dry-run", action="store_true", help="count only")
    reseal.add_argument("--json", action="store_true", help="print one JSON object")
    where(reseal)
    reseal.set_defaults(run=lambda args: asyncio.run(_run(args)))


async def _run(args: argparse.Namespace) -> int:
    settings = environment(args.data_dir)
    key = need(settings, "RELAYDESK_SECRET_KEY")
    async with (
        open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store,
        open_bus(need(settings, "RELAYDESK_NATS_URL"), name="reseal", provision=False) as bus,
    ):
        resealer = Resealer(store, bus, key, dry_run=args.dry_run)
        tallies, bound = await resealer.run(), await resealer.bound()
    if args.json:
        print(msgspec.json.encode({"sealed": tallies, "bound": bound}).decode())
    else:
        print("\n".join(lines(tallies, bound, dry_run=args.dry_run)))
    unknown = sum(tally.unknown for tally in tallies)
    if unknown:
        print(f"relaydesk: {unknown} secrets open with no key of the setting", file=sys.stderr)
    return 1 if unknown or (args.dry_run and any(tally.resealed for tally in tallies)) else 0


def lines(tallies: Sequence[Tally], bound: Sequence[Bound], *, dry_run: bool) -> list[str]:
    """Return in words how everything that is sealed, or derived from a key, stands."""
    done = "on an older key" if dry_run else "sealed again"
    told = []
    for tally in tallies:
        text = f"{tally.place}: {tally.current} on the first key, {tally.resealed} {done}"
        if tally.unknown:
            text += f", {tally.unknown} open with no key: {', '.join(sorted(set(tally.names)))}"
        told.append(text)
    for one in bound:
        if one.count:
            until = f", until {one.until:%Y-%m-%d}" if one.until else ""
            told.append(f"{one.what}: {one.count} belong to an older key{until}: {one.words}")
    return told

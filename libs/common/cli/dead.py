"""`relaydesk dead`: list, show, redrive and drop what the services gave up."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.bus.client import Bus, open_bus
from libs.common.cli.admin import environment, need, where
from libs.common.dead.letter import Chosen, Letter
from libs.common.dead.redrive import body_of, drop, letter_at, letters, redrive
from libs.common.documents import AUDIT, COLLECTIONS, SYSTEM, AuditEntry
from libs.common.errors import NotFoundError, PermanentError, SettingsError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.ledger.page import LEDGERS
from libs.common.store.api import Store
from libs.common.store.open import open_store

LIMIT = 100
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_EPILOG = "exit codes: 0 done, 1 something was refused or is not there, 2 wrong use or settings"


def add_parser(commands: Any) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    dead = commands.add_parser(
        "dead", help="list, show, redrive or drop messages that a service gave up", epilog=_EPILOG
    )
    verbs = dead.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = verbs.add_parser("list", help="what lies on DEAD, oldest first", epilog=_EPILOG)
    _filters(listed)
    listed.add_argument("--limit", type=_count, default=LIMIT, help=f"rows (default {LIMIT})")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    listed.set_defaults(run=lambda args: asyncio.run(_list(args)))

    shown = verbs.add_parser("show", help="one message: why, whence, headers", epilog=_EPILOG)
    shown.add_argument("sequence", type=_count, metavar="SEQ")
    shown.add_argument("--show", action="store_true", help="print the content of the message too")
    shown.set_defaults(run=lambda args: asyncio.run(_show(args)))

    driven = verbs.add_parser(
        "redrive", help="publish messages again where they came from", epilog=_EPILOG
    )
    _choice(driven)
    driven.set_defaults(run=lambda args: asyncio.run(_redrive(args)))

    dropped = verbs.add_parser("drop", help="delete messages for good", epilog=_EPILOG)
    _choice(dropped)
    dropped.add_argument("--yes", action="store_true", help="needed: what is dropped is gone")
    dropped.set_defaults(run=lambda args: asyncio.run(_drop(args)))
    for parser in (listed, shown, driven, dropped):
        where(parser)


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", default="", help="who gave up: router, notifier, scheduler")
    parser.add_argument("--reason", default="", help="the reason's code, as `list` shows it")
    parser.add_argument("--workspace", default="")
    parser.add_argument("--account", default="", help="the account's slug")
    parser.add_argument(
        "--since", type=since, help="buried since: a time (2026-01-31T12:00Z) or an age (2h, 7d)"
    )


def _choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sequence", type=_count, nargs="*", metavar="SEQ")
    _filters(parser)
    parser.add_argument("--all", action="store_true", help="everything on DEAD")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def since(text: str) -> datetime:
    """Return the time that *text* names: ISO 8601 (UTC where it says nothing), or an age.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        words = f"{text!r} is neither a time (2026-01-31T12:00Z) nor an age (30m, 2h, 7d)"
        raise argparse.ArgumentTypeError(words) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def chosen_by(args: argparse.Namespace) -> Chosen:
    """Return what the options choose.

    Raises:
        SettingsError: They choose nothing, or both everything and something.
    """
    named = any((args.service, args.reason, args.workspace, args.account, args.since))
    sequences = frozenset(getattr(args, "sequence", ()))
    if args.verb != "list" and bool(args.all) == bool(named or sequences):
        raise SettingsError(
            f"dead {args.verb}: name sequences, or filters (--service, --reason, ...), or --all"
        )
    return Chosen(
        sequences=sequences,
        service=args.service,
        reason=args.reason,
        workspace=args.workspace,
        account=args.account,
        since=args.since,
    )


def row(letter: Letter) -> dict[str, Any]:
    """Return a letter as `--json` tells it; never the content."""
    names = ("sequence", "service", "consumer", "reason", "detail", "stream", "source", "subject")
    more = ("tries", "redrives", "workspace", "account", "truncated")
    found = {name: getattr(letter, name) for name in (*names, *more)}
    return found | {"buried_at": letter.buried_at.isoformat(timespec="seconds")}


def line(letter: Letter) -> str:
    """Return a letter in one line; never the content."""
    at = letter.buried_at.isoformat(timespec="seconds")
    who = f"{letter.service}/{letter.consumer}" if letter.consumer else letter.service
    again = f", redriven {letter.redrives} times" if letter.redrives else ""
    return (
        f"{letter.sequence:>8}  {at}  {who}  {letter.reason}  {letter.tries} tries{again}  "
        f"{letter.stream} {letter.source}  {letter.subject}"
    )


def _bus(settings: Mapping[str, str], stack: AsyncExitStack) -> Any:
    opened = open_bus(
        need(settings, "RELAYDESK_NATS_URL"), name="dead", provision=False, publish_timeout_s=10
    )
    return stack.enter_async_context(opened)


async def _list(args: argparse.Namespace) -> int:
    chosen = chosen_by(args)
    by: Counter[tuple[str, str]] = Counter()
    async with AsyncExitStack() as stack:
        bus = await _bus(environment(args.data_dir), stack)
        async for letter in letters(bus, chosen):
            by[letter.service, letter.reason] += 1
            if by.total() <= args.limit:
                print(msgspec.json.encode(row(letter)).decode() if args.json else line(letter))
    for (service, reason), count in sorted(by.items()):
        print(f"{count} of {service}: {reason}", file=sys.stderr)
    if by.total() > args.limit:
        print(f"{by.total() - args.limit} more: raise --limit, or filter", file=sys.stderr)
    if not by:
        print("nothing is dead", file=sys.stderr)
    return 0


async def _show(args: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        bus = await _bus(environment(args.data_dir), stack)
        letter = await letter_at(bus, args.sequence)
        if letter is None:
            raise NotFoundError(f"DEAD has no message {args.sequence}")
        for name, value in row(letter).items():
            print(f"{name:<10} {value}")
        for name, value in sorted(letter.message.headers.items()):
            print(f"header     {name}: {value}")
        print(f"body       {letter.truncated or len(letter.message.data)} bytes")
        if args.show:
            await _content(bus, letter)
        else:
            print("content is not shown; --show prints it")
    return 0


async def _content(bus: Bus, letter: Letter) -> None:
    try:
        data = await body_of(bus, letter)
    except PermanentError as error:
        print(f"content    {error.detail}")
        return
    print(data.decode("utf-8", "backslashreplace"))


async def _meant(bus: Bus, chosen: Chosen) -> AsyncIterator[Letter]:
    """Yield what is chosen; what is chosen by number is asked for by number."""
    if not chosen.sequences:
        async for letter in letters(bus, chosen):
            yield letter
        return
    for sequence in sorted(chosen.sequences):
        found = await letter_at(bus, sequence)
        if found is None:
            print(f"{sequence}: not on DEAD (redriven, dropped or expired)", file=sys.stderr)
        elif found in chosen:
            yield found
        else:
            print(f"{sequence}: the filters leave it out", file=sys.stderr)


async def _redrive(args: argparse.Namespace) -> int:
    chosen = chosen_by(args)
    done: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        bus = await _bus(environment(args.data_dir), stack)
        async for letter in _meant(bus, chosen):
            told = await redrive(bus, letter, dry_run=args.dry_run)
            done[told.done] += 1
            if args.json:
                print(msgspec.json.encode(told).decode(), flush=True)
                continue
            to = f" to {told.stream} {told.sequence}" if told.sequence else ""
            words = f": {told.why}" if told.why else f"{to}  {told.subject}"
            print(f"{told.letter}: {told.done}{words}", flush=True)
    print(_sum(done, "nothing was redriven"), file=sys.stderr)
    return 1 if done["kept"] or done.total() < len(chosen.sequences) else 0


async def _drop(args: argparse.Namespace) -> int:
    chosen = chosen_by(args)
    if not args.yes and not args.dry_run:
        raise SettingsError("dead drop: what is dropped is gone for good; say --yes, or --dry-run")
    done: Counter[str] = Counter()
    settings = environment(args.data_dir)
    async with AsyncExitStack() as stack:
        bus = await _bus(settings, stack)
        url = need(settings, "RELAYDESK_STORE_URL")
        store = await stack.enter_async_context(open_store(url, COLLECTIONS))

        async def note(letter: Letter) -> None:
            await audit(store, letter)

        async for letter in _meant(bus, chosen):
            if await is_ahead(store, letter):
                done["kept"] += 1
                _say_kept(letter, args)
                continue
            await drop(bus, letter, note, dry_run=args.dry_run)
            word = "would be dropped" if args.dry_run else "dropped"
            done[word] += 1
            if args.json:
                print(msgspec.json.encode({"letter": letter.sequence, "done": word}).decode())
            else:
                print(f"{letter.sequence}: {word}  {letter.reason}  {letter.subject}", flush=True)
    print(_sum(done, "nothing was dropped"), file=sys.stderr)
    return 1 if done["kept"] or done.total() < len(chosen.sequences) else 0


_AHEAD = "the ledger has not come so far and would miss it: drop it when it has (relaydesk ledger)"


def _say_kept(letter: Letter, args: argparse.Namespace) -> None:
    if args.json:
        told = {"letter": letter.sequence, "done": "kept", "why": _AHEAD}
        print(msgspec.json.encode(told).decode(), flush=True)
    else:
        print(f"{letter.sequence}: kept: {_AHEAD}", flush=True)


async def is_ahead(store: Store, letter: Letter) -> bool:
    """Tell whether the ledger of its stream has yet to find on DEAD what *letter* gave up.

    Raises:
        StoreUnavailableError: The ledger cannot be read.
    """
    ledger = await store.get(LEDGERS, SYSTEM, letter.stream) if letter.stream else None
    return ledger is not None and ledger.sequence < letter.source


def _sum(done: Counter[str], nothing: str) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(done.items())) or nothing


async def audit(store: Store, letter: Letter) -> None:
    """Keep who dropped *letter*: in its workspace, or in the installation's own."""
    entry = AuditEntry(
        id=derive_id("aud", "dead", str(letter.sequence), str(letter.message.stored_at_ns)),
        workspace=letter.workspace or SYSTEM,
        at=datetime.now(UTC),
        actor=f"operator:{_user()}",
        action="dead.drop",
        object=f"dead:{letter.sequence}",
        before=msgspec.json.encode(row(letter)).decode(),
    )
    with suppress(UniqueConflictError):  # noted before a crash
        await store.insert(AUDIT, entry)


def _user() -> str:
    """Return who runs this; in a container the number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())

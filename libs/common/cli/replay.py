"""`relaydesk replay`: rebuild sessions and messages from the streams."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from typing import Any

import msgspec

from libs.common.cli.admin import environment, where
from libs.common.cli.dead import since
from libs.common.errors import SettingsError

_EPILOG = (
    "Nothing is sent, no alert is raised, no bot is called and no webhook is told. What the store "
    "has stays as it is, so a run may be repeated, and services may run meanwhile, but for a "
    "store from a backup: replay before router and desk start. The streams hold 7 days. "
    "Exit codes: 0 done, 1 refused or not found, 2 wrong use or settings."
)


def add_parser(commands: Any) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    replay = commands.add_parser(
        "replay", help="rebuild sessions and messages from the streams", epilog=_EPILOG
    )
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument("--session", metavar="ID", help="one session")
    what.add_argument("--account", metavar="SLUG", help="all sessions of a channel account")
    what.add_argument(
        "--event",
        metavar="ID",
        action="append",
        help="one event, by event id, ingest id or message id; may be given again",
    )
    what.add_argument("--all", action="store_true", help="everything")
    replay.add_argument("--since", type=since, help="with --account: a time or an age (2h, 7d)")
    replay.add_argument(
        "--from",
        dest="source",
        choices=("events", "raw"),
        default="events",
        help="raw: read the accepted bodies again, by the adapters as they are now, and add what "
        "could not be read before (not with --session)",
    )
    replay.add_argument("--dry-run", action="store_true", help="count what would be done")
    replay.add_argument(
        "--rate", type=_number, default=0, help="messages of the streams a second (0: no limit)"
    )
    replay.add_argument(
        "--settle-s",
        type=_number,
        default=30,
        help="leave what came within the last seconds to the running routers (default 30)",
    )
    where(replay)
    replay.set_defaults(run=_run)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    if args.since and not args.account:
        raise SettingsError("replay: --since goes with --account")
    if args.session and args.source == "raw":
        raise SettingsError("replay: --from raw goes with --event, --account or --all")
    named = {"session": args.session, "account": args.account, "event": args.event}
    what = next((name for name, value in named.items() if value), "all")
    value = named.get(what) or ()
    wanted = {
        "what": what,
        "names": [value] if isinstance(value, str) else list(value),
        "since": args.since,
        "source": args.source,
        "dry_run": args.dry_run,
        "rate": args.rate,
        "settle_s": args.settle_s,
    }
    os.environ.update(environment(args.data_dir))
    sys.argv = ["relaydesk replay", msgspec.json.encode(wanted).decode()]
    # Services are started by name, never imported: libraries do not depend on services.
    runpy.run_module("services.router.replay", run_name="__main__")
    return 0

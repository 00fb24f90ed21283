"""The `relaydesk` command."""

from __future__ import annotations

import argparse
import os
import runpy
import sys

from libs.common.cli import (
    admin,
    backup,
    config,
    dead,
    doctor,
    front,
    ledger,
    replay,
    reseal,
    simulate,
    up,
)
from libs.common.config import SERVICES, describe, variables
from libs.common.errors import GatewayError

READER_GONE = 141
"""The exit code of a command that wrote to a pipe that nobody reads: 128 + SIGPIPE."""


def command_parser() -> argparse.ArgumentParser:
    """Return what reads every `relaydesk ...` command line."""
    parser = argparse.ArgumentParser(
        prog="relaydesk", description="A self-hosted gateway for customer conversations."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up.add_parser(commands)
    serve = commands.add_parser("serve", help="run one service")
    serve.add_argument("service", nargs="?", choices=sorted(SERVICES))
    serve.add_argument("--settings", action="store_true", help="print the settings and stop")
    front.add_parser(commands)
    config.add_parsers(commands)
    admin.add_parsers(commands)
    simulate.add_parser(commands)
    doctor.add_parser(commands)
    dead.add_parser(commands)
    ledger.add_parser(commands)
    replay.add_parser(commands)
    reseal.add_parser(commands)
    backup.add_parsers(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 refused, 2 wrong use or settings.

    `config plan` and `config drift` answer 2 for differences, as they say in their help. Where
    the reader of what is printed ends early (`| head`), so does the command, without a word.
    """
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is left is thrown away, or the interpreter complains of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _run(argv: list[str] | None) -> int:
    parser = command_parser()
    args = parser.parse_args(argv)
    try:
        return _serve(parser, args) if args.command == "serve" else int(args.run(args))
    except GatewayError as error:
        print(f"relaydesk: {error.detail}", file=sys.stderr)
        return 2 if error.code == "settings" else 1
    except KeyboardInterrupt:
        return 130


def _serve(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    if args.service is None:
        if not args.settings:
            parser.error("serve: name a service: " + ", ".join(sorted(SERVICES)))
        for variable in variables():
            print(f"{variable.name} (default {variable.default}): {variable.meaning}")
        return 0
    if args.settings:
        print(describe(args.service, os.environ))
        return 0
    sys.argv = [f"relaydesk serve {args.service}"]
    # Services are started by name, never imported: libraries do not depend on services.
    runpy.run_module(f"services.{args.service}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())

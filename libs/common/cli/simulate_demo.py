"""`relaydesk simulate demo`: a demo workspace whose accounts lead to a stand-in for the providers.

What `relaydesk up --demo` makes on one machine, for services that run by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from yarl import URL

from libs.common.cli import demo as demos
from libs.common.cli.admin import apply_file, create_token, environment, need
from libs.common.credentials import parse_token
from libs.common.documents import COLLECTIONS, TOKENS
from libs.common.errors import SettingsError
from libs.common.store.open import open_store

TOKEN_DAYS = 3650


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the word to `relaydesk simulate`."""
    parser = commands.add_parser(
        "demo", help="make a demo workspace whose accounts lead to the stand-in; safe to repeat"
    )
    parser.add_argument(
        "--base-url", type=_url, required=True, metavar="URL", help="of the gateway"
    )
    parser.add_argument(
        "--provider",
        type=_url,
        required=True,
        metavar="URL",
        help="where the gateway reaches the stand-in",
    )
    folder = Path(os.environ.get("RELAYDESK_DATA_DIR", ".relaydesk"))
    parser.add_argument("--data-dir", type=Path, default=folder, help="where demo.json is written")
    parser.set_defaults(run=lambda args: asyncio.run(_run(args)))


def _url(text: str) -> str:
    """Return *text*, a URL of HTTP or HTTPS, without a slash at its end."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL, http://host:port or https://host")
    return text.rstrip("/")


async def _run(args: argparse.Namespace) -> int:
    """Apply the workspace, make the tokens, write demo.json, and say where to log in.

    Raises:
        SettingsError: The folder cannot be written to, or a server is not named.
    """
    settings = environment(args.data_dir)
    found = demos.plan(args.data_dir, args.base_url.rstrip("/"), args.provider.rstrip("/"), "")
    try:
        args.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        demos.write(args.data_dir, found)  # before the store knows of secrets that nobody kept
    except OSError as error:
        raise SettingsError(f"cannot write to {args.data_dir}: {error.strerror}") from None
    await apply_file(settings, demos.workspace_file(found))
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        for agent in found.agents:
            known = parse_token(agent.token) if agent.token else None
            if known and await store.get(TOKENS, found.workspace, known.token_id):
                continue
            agent.token, _ = await create_token(
                store, found.workspace, agent.email, name="demo", days=TOKEN_DAYS
            )
    demos.write(args.data_dir, found)
    print(f"the workspace {found.workspace} is there: {found.base_url}")
    for agent in found.agents:
        print(f"  login  {agent.email}  {agent.password}  ({agent.role})")
    return 0

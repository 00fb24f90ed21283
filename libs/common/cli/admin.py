"""`token create`, `migrate` and `trace`: what an operator types."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from libs.common import webhook_queue
from libs.common.bus.client import open_bus
from libs.common.cli import demo as demos
from libs.common.credentials import new_secret, new_token_id, secret_hash, token_text
from libs.common.documents import (
    AGENTS,
    COLLECTIONS,
    TOKENS,
    AccessToken,
)
from libs.common.errors import (
    BusUnavailableError,
    NotFoundError,
    SettingsError,
)
from libs.common.fill import fill, is_filled, note_filled
from libs.common.schema import mark_schema
from libs.common.seal import Sealer
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.workspace import Applied, WorkspaceWriter, publish_directory
from libs.common.workspace_file import WorkspaceFile

API_TOKEN_DAYS = 365
MAX_DAYS = 36500


def add_parsers(commands: Any) -> None:
    """Add the sub-commands."""
    token = commands.add_parser("token", help="access to the API")
    verbs = token.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="print a new API token of an agent, once")
    create.add_argument("--workspace", required=True)
    create.add_argument("--email", required=True)
    create.add_argument("--name", default="command line")
    create.add_argument("--days", type=_days, default=API_TOKEN_DAYS)
    where(create)
    create.set_defaults(run=lambda args: asyncio.run(_token_create(args)))

    migrate = commands.add_parser("migrate", help="create streams, buckets, collections, indexes")
    where(migrate)
    migrate.set_defaults(run=lambda args: asyncio.run(_migrate(args)))

    trace = commands.add_parser("trace", help="show where a webhook or message went")
    trace.add_argument("id", help="ingest id, event id, provider message id or message id")
    trace.add_argument("--base-url", help="of the API; default: the running `relaydesk up`")
    trace.add_argument("--token", help="API token; default: the demo owner's")
    where(trace)
    trace.set_defaults(run=lambda args: asyncio.run(_trace(args)))


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, 1 to {MAX_DAYS}")
    return int(text)


def where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("RELAYDESK_DATA_DIR", ".relaydesk")),
        help="of a running `relaydesk up`, used where the environment names no servers",
    )


def environment(data_dir: Path) -> Mapping[str, str]:
    """Return the settings to reach the servers: the environment, else those of a running `up`.

    Raises:
        SettingsError: Neither is there.
    """
    if "RELAYDESK_STORE_URL" in os.environ:
        return os.environ
    running = data_dir / "running.json"
    if not running.is_file():
        raise SettingsError(
            f"RELAYDESK_STORE_URL is not set and {data_dir} holds no running `relaydesk up`"
        )
    found = msgspec.json.decode(running.read_bytes(), type=dict[str, str])
    return {**found, **os.environ}


def need(settings: Mapping[str, str], name: str) -> str:
    """Return a setting.

    Raises:
        SettingsError: It is not set; names it.
    """
    if not settings.get(name):
        raise SettingsError(f"{name} is not set")
    return settings[name]


async def apply_file(
    settings: Mapping[str, str], file: WorkspaceFile, *, prune: bool = False, expect: str = ""
) -> Applied:
    """Write *file* to the store and the directory buckets; see `WorkspaceWriter.apply`."""
    sealer = Sealer.from_setting(need(settings, "RELAYDESK_SECRET_KEY"))
    async with (
        open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store,
        open_bus(need(settings, "RELAYDESK_NATS_URL"), name="config") as bus,
    ):
        writer = WorkspaceWriter(store, sealer, actor="system:config", now=datetime.now(UTC))
        applied = await writer.apply(file, prune=prune, expect=expect)
        await publish_directory(store, bus)
        webhook_queue.changed(bus, file.workspace)
    return applied


async def create_token(
    store: Store, workspace: str, email: str, *, name: str, days: int
) -> tuple[str, AccessToken]:
    """Make an API token for the agent with this address; the text is not stored anywhere.

    Raises:
        NotFoundError: No such agent.
    """
    found = await store.find(
        AGENTS, workspace, {"email_key": email.lower()}, Page(order="email", limit=1)
    )
    if not found:
        raise NotFoundError(f"workspace {workspace} has no agent {email}")
    secret = new_secret()
    now = datetime.now(UTC)
    token = AccessToken(
        id=new_token_id(),
        workspace=workspace,
        agent=found[0].id,
        kind="api",
        name=name,
        secret_hash=secret_hash(secret),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    await store.insert(TOKENS, token)
    return token_text(workspace, token.id, secret), token


async def _token_create(args: argparse.Namespace) -> int:
    settings = environment(args.data_dir)
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        text, token = await create_token(
            store, args.workspace, args.email, name=args.name, days=args.days
        )
    print(text)
    print(f"valid until {token.expires_at}; it is not shown again", file=sys.stderr)
    return 0


async def migrate(settings: Mapping[str, str]) -> None:
    """Create what is missing in the store and on the bus; safe to repeat."""
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        await mark_schema(store)
        replicas = int(settings.get("RELAYDESK_STREAM_REPLICAS", "1"))
        async with open_bus(
            need(settings, "RELAYDESK_NATS_URL"), name="migrate", replicas=replicas
        ) as bus:
            await publish_directory(store, bus)


async def _migrate(args: argparse.Namespace) -> int:
    settings = environment(args.data_dir)
    await migrate(settings)
    print("streams, buckets, collections and indexes are in place")
    await fill_old(settings, again=True)
    return 0


async def fill_old(settings: Mapping[str, str], *, again: bool) -> None:
    """Give documents of versions before what they are found by, telling how many.

    It is done once, or *again*, as where an older version has run meanwhile.
    """
    async with open_store(need(settings, "RELAYDESK_STORE_URL"), COLLECTIONS) as store:
        if not again and await is_filled(store):
            return
        async for filled in fill(store):
            if filled.written:
                print(f"{filled.written} of {filled.seen} {filled.collection} can be searched now")
        await note_filled(store)


async def _trace(args: argparse.Namespace) -> int:
    demo = demos.read(args.data_dir)
    base_url = args.base_url or (demo.base_url if demo else "")
    token = args.token or (demo.agents[0].token if demo else "")
    if not base_url or not token:
        raise SettingsError(f"give --base-url and --token; {args.data_dir} holds no demo")
    url = URL(base_url) / "api/v1/trace" / args.id
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
            body = await answer.read()
            print(msgspec.json.format(body, indent=2).decode())
            return 0 if answer.ok else 1
    except aiohttp.ClientError as error:
        raise BusUnavailableError(f"{base_url} does not answer: {type(error).__name__}") from None

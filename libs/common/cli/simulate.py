"""`relaydesk simulate`: post really signed webhooks, or stand in for the providers."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.cli import demo as demos
from libs.common.cli import simulate_demo
from libs.common.errors import SettingsError
from libs.common.lifecycle import write_ports
from libs.common.simulate.bodies import kinds
from libs.common.simulate.plans import SCENARIOS, summary
from libs.common.simulate.scenarios import (
    Endpoint,
    Follower,
    Reply,
    Traffic,
    caller,
    planned,
    play,
)
from libs.common.simulate.stub import running_stub

DATA_DIR = ".relaydesk"
ACCEPTED = range(200, 300)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    simulate = commands.add_parser(
        "simulate", help="post really signed webhooks, or stand in for the providers"
    )
    what = simulate.add_subparsers(dest="what", required=True, metavar="CHANNEL|provider|demo")
    for channel in sorted(CHANNELS):
        _add_channel(what.add_parser(channel, help=f"post {channel} webhooks"), channel)
    provider = what.add_parser("provider", help="receive what the gateway sends, on 127.0.0.1")
    provider.add_argument("--host", default="127.0.0.1", help="address to listen on")
    provider.add_argument("--url", default="", help="where the gateway reaches it, if elsewhere")
    provider.add_argument("--port", type=int, default=0, help="0: any free one")
    provider.add_argument("--echo-to", metavar="URL", help="post echoes and receipts there")
    provider.add_argument("--data-dir", type=_path, default=_data_dir(), help="of demo.json")
    provider.add_argument("--port-file", default="", help="write the bound port here as JSON")
    provider.add_argument("--parent-pid", type=int, default=0, help="stop when it is gone")
    provider.set_defaults(run=run)
    simulate_demo.add_parser(what)


def _add_channel(parser: argparse.ArgumentParser, channel: str) -> None:
    parser.add_argument("--data-dir", type=_path, default=_data_dir(), help="of demo.json")
    parser.add_argument("--base-url", metavar="URL", help="of the gateway; else as demo.json says")
    parser.add_argument("--account", metavar="SLUG", help="else the channel's first in demo.json")
    parser.add_argument("--text", default="", help="what the visitor writes")
    parser.add_argument("--visitor", default="", metavar="ID", help="who writes")
    parser.add_argument("--count", type=_count, default=1, metavar="N", help="different events")
    parser.add_argument("--kind", choices=kinds(channel), default="text", metavar="KIND")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), default="plain", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="list kinds and scenarios, and stop")
    parser.add_argument("--target", default="", metavar="ID", help="the message it is about")
    parser.add_argument("--seed", type=int, metavar="N", help="the same ids for the same number")
    parser.add_argument("--duplicates", action="store_true", help="post each twice")
    parser.add_argument("--bad-signature", action="store_true", help="spoil the proof of origin")
    parser.add_argument("--burst", action="store_true", help="all at once")
    parser.set_defaults(run=run, channel=channel)


def run(args: argparse.Namespace) -> int:
    """Run it; return 0 where the gateway answered as it should, else 1.

    Raises:
        SettingsError: demo.json is missing, or has no such account.
    """
    if args.what == "provider":
        return asyncio.run(_stand_in(args))
    if args.list:
        print("\n".join(_listing(args.channel)))
        return 0
    return asyncio.run(_post(args))


def _listing(channel: str) -> list[str]:
    """Return what can be played for a channel."""
    lines = [f"{channel}: kinds (--kind)", *(f"  {kind}" for kind in kinds(channel))]
    width = max(len(name) for name in SCENARIOS)
    lines.append("scenarios (--scenario)")
    return lines + [f"  {name:<{width}}  {summary(name)}" for name in SCENARIOS]


async def _post(args: argparse.Namespace) -> int:
    found = _demo(args.data_dir)
    account, path = _account(found, args.channel, args.account)
    base_url = (args.base_url or found.base_url).rstrip("/")
    traffic = Traffic(
        scenario=args.scenario,
        kind=args.kind,
        text=args.text,
        visitor=args.visitor,
        target=args.target,
        count=args.count,
        seed=args.seed,
        duplicates=args.duplicates,
        bad_signature=args.bad_signature,
        burst=args.burst,
    )
    unwanted = answered = 0
    async for reply in play(planned(account, base_url + path, traffic, datetime.now(UTC))):
        print(_line(reply, account, base_url), flush=True)
        answered += 1
        unwanted += (reply.status in ACCEPTED) is reply.post.spoiled
    if answered > 1:
        print(f"{answered} posted, {answered - unwanted} answered as they should be", flush=True)
    return 1 if unwanted else 0


def _line(reply: Reply, account: Account, base_url: str) -> str:
    post = reply.post
    word = str(reply.status) if reply.status else reply.trouble
    line = f"{word}  {account.channel} {post.kind} {post.message_id} from {post.visitor}"
    line += "  (spoiled)" if post.spoiled else ""
    line += f"  {reply.seconds * 1000:.0f} ms"
    if reply.status in ACCEPTED:
        line += f"  see {base_url}/api/v1/sessions?channel={account.channel}"
    return line


async def _stand_in(args: argparse.Namespace) -> int:
    from libs.common.simulate import mail_sink  # noqa: PLC0415 (needs the extra `embedded`)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with caller() as session:
        endpoint = partial(_endpoint, args.data_dir, (args.echo_to or "").rstrip("/"))
        follow = Follower(session, endpoint).follow if args.echo_to else None
        async with (
            running_stub(args.host, args.port, follow=follow, url=args.url.rstrip("/")) as stub,
            mail_sink.running_sink() as sink,
        ):
            stub.mails = sink.mails
            print(f"provider stub {stub.url}  sent: {stub.url}/_sent?account=SLUG", flush=True)
            print(f"mail sink {sink.url}  received: {stub.url}/_mail", flush=True)
            ports = {"port": args.port or _port(stub.url), "smtp": _port(sink.url)}
            write_ports(args.port_file, **ports)
            while not stop.is_set() and args.parent_pid in {0, os.getppid()}:
                await _pause(stop)
    return 0


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(0.5):
            await stop.wait()
    except TimeoutError:
        return


def _endpoint(data_dir: Path, base_url: str, slug: str) -> Endpoint | None:
    """Look an account up in demo.json, read anew: it is written after the stub has started."""
    found = demos.read(data_dir)
    if found is None or all(account["slug"] != slug for account in found.accounts):
        return None
    account, path = _account(found, None, slug)
    return account, base_url + path


def _demo(data_dir: Path) -> demos.Demo:
    found = demos.read(data_dir)
    if found is None:
        raise SettingsError(
            f"there is no demo.json in {data_dir}; start `relaydesk up --demo` first"
        )
    return found


def _account(found: demos.Demo, channel: str | None, slug: str | None) -> tuple[Account, str]:
    """Return an account of the demo with its secrets, and the path of its webhook."""
    for entry in found.accounts:
        if entry["slug"] == slug or (slug is None and entry["channel"] == channel):
            value = CHANNELS[entry["channel"]]
            names = (*value.secrets, *value.optional_secrets)
            account = Account(
                workspace=found.workspace,
                slug=entry["slug"],
                channel=entry["channel"],
                external_id=entry["external_id"],
                api_base=f"{found.provider_stub}/{entry['slug']}" if found.provider_stub else "",
                secrets={name: entry[name] for name in names if name in entry},
            )
            return account, entry["webhook_path"]
    raise SettingsError(f"demo.json has no account {slug or f'of channel {channel}'}")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _path(text: str) -> Path:
    return Path(text)


def _data_dir() -> Path:
    return Path(os.environ.get("RELAYDESK_DATA_DIR", DATA_DIR))

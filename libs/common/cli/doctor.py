"""`relaydesk doctor`: what is wrong with this installation, or with one webhook request."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from libs.common.bus.client import open_bus
from libs.common.channel import Account, WebhookRequest
from libs.common.cli.admin import environment, need
from libs.common.directory import AccountEntry, seal_context
from libs.common.doctor.findings import Case, Diagnosis, Finding
from libs.common.doctor.installation import examine
from libs.common.doctor.payload import explain
from libs.common.errors import SealError, SettingsError
from libs.common.seal import Sealer
from libs.common.subjects import ACCOUNTS_KV


def add_parser(commands: Any) -> None:
    """Add the sub-command to the `relaydesk` parser."""
    doctor = commands.add_parser(
        "doctor",
        help="check this installation, or say why a webhook request is refused",
        epilog="exit codes: 0 nothing is wrong (notes may be), 1 faults, 2 wrong use or settings",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object, for CronJobs")
    _where(doctor)
    doctor.set_defaults(run=lambda args: asyncio.run(_installation(args)))
    verbs = doctor.add_subparsers(dest="verb", metavar="payload")
    payload = verbs.add_parser("payload", help="say why a captured request is refused")
    payload.add_argument("--account", required=True, metavar="SLUG")
    payload.add_argument("--headers", required=True, type=Path, help="lines `Name: value`, or JSON")
    payload.add_argument("--body", required=True, type=Path, help="the raw bytes")
    payload.add_argument("--method", default="POST", choices=("POST", "GET"))
    payload.add_argument("--query", default="", help="behind the ? of the address")
    payload.add_argument("--path", default="", help="where it was posted: /webhooks/...")
    payload.add_argument("--at", type=datetime.fromisoformat, help="when it came; default: now")
    payload.add_argument("--show", action="store_true", help="print the content of messages too")
    _where(payload)
    payload.set_defaults(run=lambda args: asyncio.run(_payload(args)))


def _where(parser: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("RELAYDESK_DATA_DIR", ".relaydesk"))
    parser.add_argument("--data-dir", type=Path, default=default, help="of a running `up`")


async def _installation(args: argparse.Namespace) -> int:
    faults = 0
    if args.json:
        checks = [check async for check in examine(environment(args.data_dir))]
        faults = sum(check.grade == "wrong" for check in checks)
        print(msgspec.json.encode({"faults": faults, "checks": checks}).decode())
        return 1 if faults else 0
    async for check in examine(environment(args.data_dir)):
        print(f"{check.grade:<5}  {check.name}: {check.words}", flush=True)
        faults += check.grade == "wrong"
    print(f"{faults} fault{'s' * (faults > 1)}" if faults else "nothing is wrong")
    return 1 if faults else 0


async def _payload(args: argparse.Namespace) -> int:
    settings = environment(args.data_dir)
    request = request_of(args)
    entries = await _entries(settings)
    entry = entries.get(args.account)
    if entry is None:
        known = ", ".join(sorted(entries)) or "none"
        raise SettingsError(f"--account {args.account}: there is no such account; known: {known}")
    sealer = Sealer.from_setting(need(settings, "RELAYDESK_SECRET_KEY"))
    accounts = {slug: opened(found, sealer) for slug, found in entries.items()}
    others = tuple(account for slug, account in accounts.items() if slug != args.account)
    case = Case(account=accounts[args.account], request=request, others=others, path=args.path)
    diagnosis = explain(case, show=args.show)
    print("\n".join(told(diagnosis)))
    return 1 if diagnosis.verdict == "refused" else 0


def told(diagnosis: Diagnosis) -> list[str]:
    """Return a diagnosis as it is printed."""
    lines = [f"{diagnosis.verdict}, answered with {diagnosis.status}"]
    for finding in diagnosis.findings:
        lines += _finding(finding)
    return lines + [f"  event  {event}" for event in diagnosis.events]


def _finding(finding: Finding) -> list[str]:
    lines = [f"  cause  {finding.code}: {finding.words}"]
    return [*lines, f"  advice {finding.advice}"] if finding.advice else lines


async def _entries(settings: Mapping[str, str]) -> dict[str, AccountEntry]:
    entries = {}
    async with open_bus(
        need(settings, "RELAYDESK_NATS_URL"), name="doctor", provision=False
    ) as bus:
        for slug in await bus.kv_keys(ACCOUNTS_KV):
            found = await bus.kv_get(ACCOUNTS_KV, slug)
            if found is not None:
                entries[slug] = msgspec.json.decode(found.value or b"", type=AccountEntry)
    return entries


def opened(entry: AccountEntry, sealer: Sealer) -> Account:
    """Return the account with the secrets that open; one that does not counts as absent."""
    secrets = {}
    for name, sealed in entry.sealed.items():
        try:
            secrets[name] = sealer.open(sealed, seal_context(entry.workspace, entry.slug, name))
        except SealError:
            continue
    return Account(
        workspace=entry.workspace,
        slug=entry.slug,
        channel=entry.channel,
        external_id=entry.external_id,
        app=entry.app,
        enabled=entry.enabled,
        secrets=secrets,
    )


def request_of(args: argparse.Namespace) -> WebhookRequest:
    """Return the captured request.

    Raises:
        SettingsError: A file cannot be read, or the headers are neither lines nor JSON.
    """
    query = args.query or args.path.partition("?")[2]
    at = args.at or datetime.now(UTC)
    return WebhookRequest(
        method=args.method,
        headers=headers_of(_read("--headers", args.headers)),
        query=dict(reversed(parse_qsl(query.removeprefix("?"), keep_blank_values=True))),
        body=_read("--body", args.body),
        received_at=at if at.tzinfo else at.replace(tzinfo=UTC),
    )


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{option}: {path} cannot be read: {error.strerror}") from None


def headers_of(raw: bytes) -> dict[str, str]:
    """Return headers by lower-case name, from a JSON object or from `Name: value` lines.

    Raises:
        SettingsError: It is neither.
    """
    if raw.lstrip()[:1] == b"{":
        try:
            given = msgspec.json.decode(raw, type=dict[str, str])
        except ValueError:
            raise SettingsError("--headers: the JSON is no object of texts") from None
        return {name.lower(): value for name, value in given.items()}
    lines = [line for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines if not _is_request_line(line)]
    if any(not colon for _, colon, _ in pairs):
        raise SettingsError("--headers: each line must be `Name: value`")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _is_request_line(line: str) -> bool:
    return line.startswith(("POST ", "GET ", "HTTP/"))

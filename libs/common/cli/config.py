"""`config plan`, `apply`, `export` and `drift`: a workspace as a file."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from libs.common.applied import CONFIGS
from libs.common.cli.admin import apply_file, environment, need, where
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM
from libs.common.errors import NotFoundError, SettingsError
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.workspace import Applied, WorkspaceWriter, workspaces
from libs.common.workspace_apply import finish
from libs.common.workspace_diff import ObjectChange, lines
from libs.common.workspace_drift import Drift, drift_of
from libs.common.workspace_export import exported, read_refs, text_of
from libs.common.workspace_file import WorkspaceFile, read_workspace_file
from libs.common.workspace_plan import Plan
from libs.common.workspace_state import read_state

DIFFERENT = 2
"""Exit code of a plan, or a look for drift, that finds something to change."""
REFUSED = 1
FEW = 3
"""Secrets that are named one by one."""
_NOTE = """\
A whole workspace, written by `relaydesk config export`; see docs/workspace-file.md.
Secrets are named, never written: {env: NAME} is an environment variable, {file: PATH} a file.
Where nothing is known of a secret's place it is RELAYDESK_<SLUG>_<SECRET>; one that is not set
keeps what is stored.
"""


class PlanShown(msgspec.Struct, frozen=True, kw_only=True):
    """What `config plan --json` prints; `changes` leaves out what stays the same."""

    workspace: str
    fingerprint: str
    changes: tuple[ObjectChange, ...]
    not_compared: tuple[str, ...]


def add_parsers(commands: Any) -> None:
    """Add the sub-commands."""
    config = commands.add_parser("config", help="a workspace as a file")
    verbs = config.add_subparsers(dest="verb", required=True, metavar="VERB")
    plan = _verb(verbs, "plan", _plan, "show what an apply would change; exit code 2 if anything")
    plan.add_argument("file", type=Path)
    plan.add_argument("--prune", action="store_true", help="count what the file does not name, too")
    plan.add_argument("--json", action="store_true", help="for programs")

    apply = _verb(verbs, "apply", _apply, "bring the workspace to what the file says, or nothing")
    apply.add_argument("file", type=Path)
    apply.add_argument("--prune", action="store_true", help="delete what the file does not name")
    apply.add_argument("--expect", default="", metavar="FINGERPRINT", help="of the plan you read")

    export = _verb(verbs, "export", _export, "write the workspace as a file, without secrets")
    export.add_argument("file", type=Path, nargs="?", help="default: standard output")
    export.add_argument("--workspace", help="default: the only one there is")

    drift = _verb(verbs, "drift", _drift, "show what is not as last applied; exit code 2 if any")
    drift.add_argument("--workspace", help="default: all of them")
    drift.add_argument("--json", action="store_true", help="for programs")


def _verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], Coroutine[Any, Any, int]], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    where(parser)
    parser.set_defaults(run=lambda args: _done(run(args)))
    return parser


def _done(work: Coroutine[Any, Any, int]) -> int:
    """Return the exit code: a refusal must not be taken for a difference, which is 2."""
    try:
        return asyncio.run(work)
    except SettingsError as error:
        print(f"relaydesk: {error.detail}", file=sys.stderr)
        return REFUSED


async def _plan(args: argparse.Namespace) -> int:
    file = _read(args.file)
    settings = environment(args.data_dir)
    sealer = Sealer.from_setting(need(settings, "RELAYDESK_SECRET_KEY"))
    async with _store(args) as store:
        writer = WorkspaceWriter(store, sealer, actor="system:config", now=datetime.now(UTC))
        plan = await writer.plan(file, prune=args.prune)
    changes = tuple(one for one in plan.objects if one.action != "same")
    if args.json:
        shown = PlanShown(
            workspace=plan.workspace,
            fingerprint=plan.fingerprint,
            changes=changes,
            not_compared=plan.not_compared,
        )
        print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    else:
        _print_plan(plan)
    return DIFFERENT if any(one.action != "leave" for one in changes) else 0


def _print_plan(plan: Plan) -> None:
    for line in lines(plan.objects):
        print(line)
    for line in _uncompared(plan.not_compared):
        print(line)
    actions = [one.action for one in plan.objects]
    changed, added = actions.count("update"), actions.count("create")
    removed = actions.count("delete") + actions.count("disable")
    if changed + added + removed:
        print(f"{added} to add, {changed} to change, {removed} to remove")
        print(f"to apply exactly this: --expect {plan.fingerprint}")
    else:
        print("no changes")


def _uncompared(places: Sequence[str]) -> Iterator[str]:
    """Yield what to say of secrets that cannot be read here: there may be one an account."""
    yield from (f"not compared: {place}" for place in places[:FEW])
    if len(places) > FEW:
        yield f"not compared: {len(places) - FEW} more secrets; `config plan --json` names them"


async def _apply(args: argparse.Namespace) -> int:
    applied = await apply_file(
        environment(args.data_dir), _read(args.file), prune=args.prune, expect=args.expect
    )
    for word in ("created", "updated", "deleted"):
        for name in getattr(applied, word):
            print(f"{word} {name}")
    _print_notes(applied)
    counts = [f"{len(applied.created)} created", f"{len(applied.updated)} updated"]
    if applied.deleted:
        counts.append(f"{len(applied.deleted)} deleted")
    print(", ".join((*counts, f"{len(applied.unchanged)} unchanged")))
    return 1 if applied.left else 0


def _print_notes(applied: Applied) -> None:
    plan = applied.plan
    left = [one.object for one in plan.objects if one.action == "leave"] if plan else []
    if left:
        print(f"not in the file, and left as they are (see --prune): {', '.join(left)}")
    for line in _uncompared(plan.not_compared if plan else ()):
        print(line, file=sys.stderr)
    for name in applied.left:
        print(f"not written, as its name was taken meanwhile: {name}", file=sys.stderr)


async def _export(args: argparse.Namespace) -> int:
    async with _store(args) as store:
        name = args.workspace or await _only(store)
        if await store.get(DIRECTORY, SYSTEM, f"workspace:{name}") is None:
            raise NotFoundError(f"there is no workspace {name}")
        await finish(store, name)
        record = await store.get(CONFIGS, name, name)
        found = exported(await read_state(store, name), read_refs(record.refs if record else ""))
    text = text_of(found, _NOTE)
    if args.file is None:
        print(text, end="")
    else:
        args.file.write_text(text)
        print(f"wrote {args.file}", file=sys.stderr)
    return 0


async def _only(store: Store) -> str:
    names = await workspaces(store)
    if len(names) != 1:
        known = ", ".join(sorted(names)) or "none"
        raise SettingsError(f"name the workspace with --workspace; there are: {known}")
    return names[0]


async def _drift(args: argparse.Namespace) -> int:
    async with _store(args) as store:
        names = [args.workspace] if args.workspace else sorted(await workspaces(store))
        found = [await drift_of(store, name) for name in names]
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for one in found:
            _print_drift(one)
    return DIFFERENT if any(one.objects for one in found) else 0


def _print_drift(drift: Drift) -> None:
    if drift.applied_at is None:
        print(f"{drift.workspace}: no file was ever applied")
        return
    state = f"{len(drift.objects)} differ" if drift.objects else "as applied"
    print(f"{drift.workspace}: {state} (last apply {drift.applied_at:%Y-%m-%d %H:%M:%S} UTC)")
    for one in drift.objects:
        print(f"  {one.object}: {', '.join(one.fields) or 'is gone'}")


@asynccontextmanager
async def _store(args: argparse.Namespace) -> AsyncIterator[Store]:
    url = need(environment(args.data_dir), "RELAYDESK_STORE_URL")
    async with open_store(url, COLLECTIONS) as store:
        yield store


def _read(path: Path) -> WorkspaceFile:
    if not path.is_file():
        raise SettingsError(f"{path} is not a file")
    return read_workspace_file(path.read_bytes())

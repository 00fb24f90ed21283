"""Write workspaces, agents and accounts to the store, and the directory buckets from the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterator
from datetime import datetime

import msgspec

from libs.common.applied import CONFIGS, ConfigRecord, standing
from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.directory import AccountEntry
from libs.common.documents import (
    ACCOUNTS,
    DIRECTORY,
    SYSTEM,
    AccountDocument,
)
from libs.common.errors import SettingsError, StaleRevisionError, UniqueConflictError
from libs.common.policies import publish_policy
from libs.common.seal import Sealer
from libs.common.store.api import Page, Store, cursor
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV, Bucket
from libs.common.workspace_apply import finish
from libs.common.workspace_check import check
from libs.common.workspace_claim import claim, held, keep_files
from libs.common.workspace_file import WorkspaceFile
from libs.common.workspace_kinds import KINDS
from libs.common.workspace_made import Here
from libs.common.workspace_plan import Plan, plan
from libs.common.workspace_policy import agent_id
from libs.common.workspace_secrets import Vault
from libs.common.workspace_state import read_state

log = logging.getLogger(__name__)

PAGE = 500
PASSES = 3


class Applied(msgspec.Struct, kw_only=True):
    """What one apply did, by `workspace:`, `agent:`, `account:`, `policy:` and such names.

    `plan` is what was applied; `left` are documents that somebody else took the name of meanwhile.
    """

    created: list[str] = []
    updated: list[str] = []
    unchanged: list[str] = []
    deleted: list[str] = []
    left: tuple[str, ...] = ()
    plan: Plan | None = None


class WorkspaceWriter:
    """Brings the store to what a checked file says; run again, it changes nothing."""

    def __init__(self, store: Store, sealer: Sealer, *, actor: str, now: datetime) -> None:
        self._store = store
        self._sealer = sealer
        self._actor = actor
        self._now = now
        self.applied = Applied()

    async def plan(self, file: WorkspaceFile, *, prune: bool = False) -> Plan:
        """Return what `apply` would do; an apply that was broken off is finished first.

        Raises:
            SettingsError: The file cannot be applied; names the place.
        """
        for _ in range(PASSES):
            await finish(self._store, file.workspace)
            mark = await standing(self._store, file.workspace)
            found = await self._planned(file, prune=prune)
            if mark is not None and mark == await standing(self._store, file.workspace):
                return found
        raise SettingsError(_SOMEBODY)

    async def apply(self, file: WorkspaceFile, *, prune: bool = False, expect: str = "") -> Applied:
        """Make everything that differs as the file says: all of it, or nothing.

        Args:
            file: What is wanted.
            prune: Delete what the file does not name, in the lists that it has.
            expect: The fingerprint of the plan that somebody has read; empty: whatever is found.

        Raises:
            SettingsError: A secret is absent, a slug belongs to another workspace, something is
                in use or would not hold together, somebody else applied a file at the same time,
                or the workspace is not as it was when it was planned. Nothing is changed.
        """
        workspace = file.workspace
        await finish(self._store, workspace)
        record = await self._store.get(CONFIGS, workspace, workspace)
        plan = await self._planned(file, prune=prune)
        if expect and plan.fingerprint != expect:
            raise SettingsError(
                f"the workspace or the file has changed since the plan {expect}: plan again"
            )
        stamp, refs = _text(plan.stamp), _text(plan.refs)
        if not plan.steps and record is not None and (record.stamp, record.refs) == (stamp, refs):
            return self._told(plan, ())
        checking = await self._checking(record, workspace)
        again = await self._planned(file, prune=prune)
        if again.fingerprint != plan.fingerprint:
            await self._withdraw(checking)
            raise SettingsError("somebody changed the workspace at the same time: plan again")
        return await self._applying(file, again, checking)

    async def _planned(self, file: WorkspaceFile, *, prune: bool) -> Plan:
        names = (one.id for entry in file.standard_messages or () for one in entry.attachments)
        before = await read_state(self._store, file.workspace, names)
        here = Here(
            workspace=file.workspace,
            now=self._now,
            vault=Vault(self._sealer, self._now),
            ids={agent.email_key: agent.id for agent in before.agents.values()},
            emails={agent.id: agent.email for agent in before.agents.values()}
            | {agent_id(file.workspace, agent.email): agent.email for agent in file.agents},
            files=before.files,
        )
        # hashing passwords takes its time
        found = await asyncio.to_thread(plan, file, before, here, prune=prune)
        await check(file, found, self._store)
        await held(self._store, file)
        return found

    async def _checking(self, record: ConfigRecord | None, workspace: str) -> ConfigRecord:
        """Take the turn: of two who began at the same record, one gets it.

        Raises:
            SettingsError: Somebody else has it, or had it since.
        """
        begun = record or ConfigRecord(id=workspace, workspace=workspace)
        taken = msgspec.structs.replace(
            begun,
            state="checking",
            apply=secrets.token_hex(8),
            actor=self._actor,
            began_at=self._now,
        )
        return await self._advanced(taken)

    async def _applying(self, file: WorkspaceFile, plan: Plan, checking: ConfigRecord) -> Applied:
        await claim(self._store, file)
        await keep_files(self._store, file, plan.before.files)
        journal = msgspec.structs.replace(
            checking,
            state="applying",
            steps=msgspec.json.encode(plan.steps).decode(),
            next_stamp=_text(plan.stamp),
            next_refs=_text(plan.refs),
            fingerprint=plan.fingerprint,
        )
        if len(journal.steps) > MOST_JOURNAL:
            raise SettingsError(
                f"the changes take {len(journal.steps):,} characters; allowed: at most "
                f"{MOST_JOURNAL:,} in one apply; split the file"
            )
        await self._advanced(journal)
        await finish(self._store, plan.workspace)
        for slug in plan.deleted.get("accounts", ()):
            await self._store.delete(DIRECTORY, SYSTEM, f"account:{slug}")
        done = await self._store.get(CONFIGS, plan.workspace, plan.workspace)
        return self._told(plan, done.left if done else ())

    async def _advanced(self, record: ConfigRecord) -> ConfigRecord:
        try:
            if record.rev:
                return await self._store.replace(CONFIGS, record)
            return await self._store.insert(CONFIGS, record)
        except (StaleRevisionError, UniqueConflictError):
            raise SettingsError(_SOMEBODY) from None

    async def _withdraw(self, checking: ConfigRecord) -> None:
        with contextlib.suppress(StaleRevisionError):
            await self._store.replace(CONFIGS, msgspec.structs.replace(checking, state="idle"))

    def _told(self, plan: Plan, left: tuple[str, ...]) -> Applied:
        """Say what was done, a document each."""
        written = {name: step for step in plan.steps for name in step.objects}
        self.applied.plan, self.applied.left = plan, left
        for told, name, is_new in documents_of(plan):
            step = written.get(name)
            if step is None:
                self.applied.unchanged.append(told)
            elif step.document is None:
                self.applied.deleted.append(told)
            else:
                (self.applied.created if is_new else self.applied.updated).append(told)
        return self.applied


_SOMEBODY = (
    "somebody else applied a file to this workspace at the same time; nothing of this one was "
    "done: plan again"
)
MOST_JOURNAL = 6 * 1024 * 1024
"""Characters of the steps of one apply: they are one document, of which MongoDB takes 16 MiB."""


def documents_of(plan: Plan) -> Iterator[tuple[str, str, bool]]:
    """Yield what the plan is about: as the file calls it, as records do, and whether it is new."""
    policy = f"policy:{plan.workspace}"
    workspace = f"workspace:{plan.workspace}"
    yield workspace, workspace, not plan.before.workspace.rev
    named = {one.object for one in plan.objects if one.action != "leave"}
    for kind in KINDS:
        held = kind.held(plan.before)
        for document in (held | kind.held(plan.after)).values():
            if kind.name(document) in named:
                yield kind.name(document), f"{kind.word}:{document.id}", document.id not in held
    if any(policy in step.objects for step in plan.steps):
        yield policy, policy, not plan.before.policy.rev


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


async def publish_directory(store: Store, bus: Bus) -> int:
    """Make the directory buckets say what the store says; return how many entries changed.

    Safe to run at any time and from any number of processes: the buckets are read before the
    store, and an entry that somebody else wrote in between is left to them, then looked at again.
    """
    changed = 0
    for _ in range(PASSES):
        mended, raced = await _publish_once(store, bus)
        changed += mended
        if not raced:
            break
    return changed


async def _publish_once(store: Store, bus: Bus) -> tuple[int, bool]:
    present = await _entries(bus, ACCOUNTS_KV)
    told = await bus.kv_keys(POLICY_KV)
    names = await workspaces(store)
    changed = 0
    accounts: dict[str, bytes] = {}
    for workspace in names:
        changed += await _policy(store, bus, workspace)
        for account in await accounts_of(store, workspace):
            accounts[account.id] = msgspec.json.encode(directory_entry(account))
    for workspace in sorted(set(told) - set(names)):
        await bus.kv_delete(POLICY_KV, workspace)
        changed += 1
    count, raced = await _match(bus, ACCOUNTS_KV, present, accounts)
    return changed + count, raced


async def _policy(store: Store, bus: Bus, workspace: str) -> bool:
    try:
        return await publish_policy(store, bus, workspace)
    except SettingsError as error:  # the other workspaces are none the worse for it
        log.error(  # noqa: TRY400 (the reason says it all)
            "directory.policy_too_large", extra={"workspace": workspace, "reason": error.detail}
        )
        return False


def directory_entry(account: AccountDocument) -> AccountEntry:
    """Return the account as the accounts bucket holds it."""
    return AccountEntry(
        workspace=account.workspace,
        slug=account.id,
        channel=account.channel,
        external_id=account.external_id,
        name=account.name,
        app=account.app,
        api_base=account.api_base,
        enabled=account.enabled,
        features=account.features,
        templates=account.templates,
        sealed=account.sealed,
    )


async def workspaces(store: Store) -> list[str]:
    """Return the names of all workspaces."""
    names: list[str] = []
    page = Page(order="kind", limit=PAGE)
    while True:
        found = await store.find(DIRECTORY, SYSTEM, {"kind": "workspace"}, page)
        names += [target for entry in found for target in entry.targets]
        if len(found) < PAGE:
            return names
        page = msgspec.structs.replace(page, after=cursor(DIRECTORY, "kind", found[-1]))


async def accounts_of(store: Store, workspace: str) -> list[AccountDocument]:
    """Return all accounts of a workspace."""
    accounts: list[AccountDocument] = []
    page = Page(order="external", limit=PAGE)
    while True:
        found = await store.find(ACCOUNTS, workspace, {}, page)
        accounts += found
        if len(found) < PAGE:
            return accounts
        page = msgspec.structs.replace(page, after=cursor(ACCOUNTS, "external", found[-1]))


async def _entries(bus: Bus, bucket: Bucket) -> dict[str, KvEntry]:
    found = [await bus.kv_get(bucket, key) for key in await bus.kv_keys(bucket)]
    return {entry.key: entry for entry in found if entry is not None}


async def _match(
    bus: Bus, bucket: Bucket, present: dict[str, KvEntry], wanted: dict[str, bytes]
) -> tuple[int, bool]:
    """Return how many entries were written, and whether one was lost to somebody faster."""
    changed, raced = 0, False
    for key, value in wanted.items():
        entry = present.get(key)
        if entry is not None and entry.value == value:
            continue
        try:  # an absent key may have a tombstone, whose revision is not told: written unguarded
            await bus.kv_put(
                bucket, key, value, expected_revision=entry.revision if entry else None
            )
            changed += 1
        except StaleRevisionError:
            raced = True
    for key in present:
        if key not in wanted:
            await bus.kv_delete(bucket, key)
            changed += 1
    return changed, raced

"""Write workspaces, agents and accounts to the store, and the directory buckets from the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.credentials import hash_password, verify_password
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import (
    ACCOUNTS,
    AGENTS,
    AUDIT,
    DIRECTORY,
    POLICIES,
    SYSTEM,
    WORKSPACES,
    AccountDocument,
    Agent,
    AuditEntry,
    DirectoryEntry,
    PolicyDocument,
    Workspace,
)
from libs.common.errors import SealError, SettingsError, StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.policies import publish_policy
from libs.common.seal import Sealer
from libs.common.store.api import Page, Store, cursor
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV, Bucket
from libs.common.termination import counted
from libs.common.workspace_file import (
    AccountInFile,
    AgentEntry,
    WorkspaceFile,
    settings_of,
    templates_of,
)
from libs.common.workspace_policy import (
    agent_id,
    check_policy,
    document_of,
    member_fields,
    policy_in_store,
)

log = logging.getLogger(__name__)

PAGE = 500
PASSES = 3


class Applied(msgspec.Struct, kw_only=True):
    """What one apply did, by `workspace:`, `agent:` and `account:` names."""

    created: list[str] = []
    updated: list[str] = []
    unchanged: list[str] = []


class WorkspaceWriter:
    """Brings the store to what a checked file says; run again, it changes nothing."""

    def __init__(self, store: Store, sealer: Sealer, *, actor: str, now: datetime) -> None:
        self._store = store
        self._sealer = sealer
        self._actor = actor
        self._now = now
        self.applied = Applied()

    async def apply(self, file: WorkspaceFile) -> Applied:
        """Write everything that differs.

        Secrets are all read, and account slugs all claimed, before the first document is written.

        Raises:
            SettingsError: A secret is absent, a slug belongs to another workspace, or the policy
                would not hold together; names the place.
        """
        secrets = {account.slug: _secrets(account) for account in file.accounts}
        passwords = {agent.email: _password(agent) for agent in file.agents}
        before = await policy_in_store(self._store, file.workspace)
        check_policy(file, before)
        await self._claim(f"workspace:{file.workspace}", "workspace", file.workspace)
        for account in file.accounts:
            await self._claim(f"account:{account.slug}", "account", file.workspace)
        await self._workspace(file)
        for agent in file.agents:
            await self._agent(file.workspace, agent, passwords[agent.email])
        for account in file.accounts:
            await self._account(file.workspace, account, secrets[account.slug])
        await self._policy(file)
        return self.applied

    async def _claim(self, name: str, kind: str, workspace: str) -> None:
        entry = DirectoryEntry(id=name, workspace=SYSTEM, kind=kind, targets=(workspace,))
        try:
            await self._store.insert(DIRECTORY, entry)
        except UniqueConflictError:
            found = await self._store.get(DIRECTORY, SYSTEM, name)
            if found is None or found.targets != (workspace,):
                raise SettingsError(f"{name} belongs to another workspace") from None

    async def _workspace(self, file: WorkspaceFile) -> None:
        found = await self._store.get(WORKSPACES, file.workspace, file.workspace)
        before = found or Workspace(id=file.workspace, workspace=file.workspace, name=file.name)
        settings = counted(before.settings, settings_of(file) or before.settings, self._now)
        after = msgspec.structs.replace(before, name=file.name or before.name, settings=settings)
        name = f"workspace:{file.workspace}"
        if found is None:
            await self._store.insert(WORKSPACES, after)
        elif after != found:
            await self._store.replace(WORKSPACES, after)
        await self._note(file.workspace, name, found, None if after == found else after)

    async def _agent(self, workspace: str, entry: AgentEntry, password: str | None) -> None:
        email_key = entry.email.lower()
        own_id = agent_id(workspace, email_key)
        found = await self._store.get(AGENTS, workspace, own_id)
        kept = found.password_hash if found else ""
        if password is not None and not await asyncio.to_thread(verify_password, kept, password):
            kept = await asyncio.to_thread(hash_password, password)
        after = Agent(
            id=own_id,
            workspace=workspace,
            rev=found.rev if found else 0,
            name=entry.name,
            email=entry.email,
            email_key=email_key,
            role=entry.role,
            password_hash=kept,
            disabled=entry.disabled,
            **member_fields(entry, found),
        )
        if found is None:
            await self._store.insert(AGENTS, after)
        elif after != found:
            await self._store.replace(AGENTS, after)
        await self._login(email_key, workspace)
        hidden = [
            agent and msgspec.structs.replace(agent, password_hash="") for agent in (found, after)
        ]
        await self._note(
            workspace,
            f"agent:{own_id}",
            hidden[0],
            None if after == found else hidden[1],
            told=f"agent:{email_key}",
        )

    async def _login(self, email_key: str, workspace: str) -> None:
        name = f"login:{email_key}"
        found = await self._store.get(DIRECTORY, SYSTEM, name)
        if found is None:
            entry = DirectoryEntry(id=name, workspace=SYSTEM, kind="login", targets=(workspace,))
            await self._store.insert(DIRECTORY, entry)
        elif workspace not in found.targets:
            targets = (*found.targets, workspace)
            await self._store.replace(DIRECTORY, msgspec.structs.replace(found, targets=targets))

    async def _account(self, workspace: str, entry: AccountInFile, secrets: dict[str, str]) -> None:
        found = await self._store.get(ACCOUNTS, workspace, entry.slug)
        after = AccountDocument(
            id=entry.slug,
            workspace=workspace,
            rev=found.rev if found else 0,
            channel=entry.channel,
            external_id=entry.external_id,
            name=entry.name,
            app=entry.app,
            api_base=entry.api_base,
            enabled=entry.enabled,
            features=entry.features,
            templates=templates_of(entry),
            sealed=self._sealed(workspace, entry.slug, secrets, found),
        )
        if found is None:
            await self._store.insert(ACCOUNTS, after)
        elif after != found:
            await self._store.replace(ACCOUNTS, after)
        hidden = [a and msgspec.structs.replace(a, sealed={}) for a in (found, after)]
        await self._note(
            workspace, f"account:{entry.slug}", hidden[0], None if after == found else hidden[1]
        )

    async def _policy(self, file: WorkspaceFile) -> None:
        found = await self._store.get(POLICIES, file.workspace, file.workspace)
        before = found or PolicyDocument(id=file.workspace, workspace=file.workspace)
        after = document_of(file, before)
        if after == before:
            return
        if found is None:
            await self._store.insert(POLICIES, after)
        else:
            await self._store.replace(POLICIES, after)
        await self._note(file.workspace, f"policy:{file.workspace}", found, after)
        for name, old, new in _changed_parts(before, after):
            await self._record(file.workspace, name, old, new)

    def _sealed(
        self, workspace: str, slug: str, secrets: dict[str, str], found: AccountDocument | None
    ) -> dict[str, str]:
        kept = found.sealed if found else {}
        sealed = {}
        for name, secret in secrets.items():
            context = seal_context(workspace, slug, name)
            sealed[name] = (
                kept[name]
                if name in kept and self._opens_to(kept[name], context, secret)
                else self._sealer.seal(secret, context)
            )
        return sealed

    def _opens_to(self, sealed: str, context: str, secret: str) -> bool:
        try:
            return self._sealer.open(sealed, context) == secret
        except SealError:
            return False

    async def _note(
        self,
        workspace: str,
        name: str,
        before: msgspec.Struct | None,
        after: msgspec.Struct | None,
        *,
        told: str = "",
    ) -> None:
        """Record one object's outcome; *after* is None where nothing changed.

        *name* is what the API's records call it, too; *told* is what the file calls it.
        """
        if after is None:
            self.applied.unchanged.append(told or name)
            return
        (self.applied.updated if before else self.applied.created).append(told or name)
        await self._record(workspace, name, before, after)

    async def _record(
        self, workspace: str, name: str, before: msgspec.Struct | None, after: msgspec.Struct | None
    ) -> None:
        at = self._now.isoformat()
        entry = AuditEntry(
            id=derive_id("aud", workspace, at, name, self._actor),
            workspace=workspace,
            at=self._now,
            actor=self._actor,
            action="config.apply",
            object=name,
            before=msgspec.json.encode(before).decode() if before else "",
            after=msgspec.json.encode(after).decode() if after else "",
        )
        await self._store.insert_many(AUDIT, [entry])


def _changed_parts(
    before: PolicyDocument, after: PolicyDocument
) -> Iterator[tuple[str, msgspec.Struct | None, msgspec.Struct | None]]:
    """Yield each rule, team and calendar that differs, by the name that the API's records use."""
    for word in ("rule", "team", "calendar"):
        old = {part.id: part for part in getattr(before, f"{word}s")}
        new = {part.id: part for part in getattr(after, f"{word}s")}
        for part in dict.fromkeys((*old, *new)):
            if old.get(part) != new.get(part):
                yield f"{word}:{part}", old.get(part), new.get(part)


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


def _secrets(account: AccountInFile) -> dict[str, str]:
    return {
        name: ref.read(f"accounts[{account.slug}].secrets.{name}")
        for name, ref in account.secrets.items()
    }


def _password(agent: AgentEntry) -> str | None:
    return agent.password.read(f"agents[{agent.email}].password") if agent.password else None

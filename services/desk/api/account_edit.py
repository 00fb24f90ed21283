"""Connecting accounts, by the same path as a workspace file."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from libs.common.account_entry import publish_account
from libs.common.channels import CHANNELS
from libs.common.documents import ACCOUNTS, SESSIONS, AccountDocument
from libs.common.errors import (
    GatewayError,
    InvalidInputError,
    NotFoundError,
    SettingsError,
    UniqueConflictError,
)
from libs.common.guides import GUIDES
from libs.common.store.api import Page
from libs.common.workspace_claim import claim
from libs.common.workspace_entries import SecretRef
from libs.common.workspace_file import (
    AccountInFile,
    WorkspaceFile,
    account_problems,
)
from libs.common.workspace_made import Here, account
from libs.common.workspace_secrets import Vault
from services.desk.api.account_body import NewAccount
from services.desk.api.account_shown import detail, recorded
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.audited import (
    REPLAYED,
    digest_of,
    entry,
    key_conflict,
    new_id,
    write,
)
from services.desk.policy_store import etag

log = logging.getLogger(__name__)

_MADE_BYTES = 16


# --- reading -------------------------------------------------------------------------------------


async def one(call: Call) -> Reply:
    """Show one account; `ETag` names its version.

    Raises:
        NotFoundError: No such account in this workspace.
    """
    found = await account_of(call)
    return Reply(body=await detail(call, found), headers=etag(found))


async def account_of(call: Call) -> AccountDocument:
    """Return the account that the path names.

    Raises:
        NotFoundError: No such account in this workspace.
    """
    found = await call.desk.store.account(call.who.workspace, call.params["slug"])
    if found is None:
        raise NotFoundError("There is no such account.")
    return found


# --- connecting ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Connect an account; secrets that are made for it are in this answer and never again.

    With an `Idempotency-Key` a repeat answers 200 with the account that the first one made.

    Raises:
        InvalidInputError: A field is wrong; names it.
        RefusalError: 409 `slug_taken`, `already_connected`; `idempotency_conflict`, the key made
            another account; `slug_used`, sessions of another channel have it.
    """
    body: NewAccount = call.body
    check_base(call, body.api_base)
    made = _chosen(body)
    doc = _built(call, _entry(body, made))
    doc = replace(doc, digest=_digest(call, body))
    held = await call.desk.store.account(doc.workspace, doc.id)
    if held is not None:
        return await _again(call, held, doc)
    await _free(call, doc)
    await _claimed(call, doc)
    try:
        doc = await written(call, doc, "account.create", None)
    except UniqueConflictError:
        return await _taken(call, doc)
    shown = replace(await detail(call, doc), made=made)
    return Reply(body=shown, status=201, headers=etag(doc))


def _chosen(body: NewAccount) -> dict[str, str]:
    """Return the secrets to make: needed, of our choosing, and left out."""
    channel, guide = CHANNELS.get(body.channel), GUIDES.get(body.channel)
    if channel is None or guide is None:
        return {}
    needed = [name for name in channel.secrets if name not in body.secrets]
    chosen = [secret for name in needed if (secret := guide.secret(name)) and secret.chosen]
    return {secret.name: secrets.token_hex(_MADE_BYTES) for secret in chosen}


def _entry(body: NewAccount, made: Mapping[str, str]) -> AccountInFile:
    """Return the account as a workspace file would have it."""
    own = body.slug if body.channel == "web" else ""
    return AccountInFile(
        slug=body.slug,
        channel=body.channel,
        external_id=body.external_id or own,
        name=body.name,
        app=body.app,
        api_base=body.api_base,
        enabled=body.enabled,
        features=tuple(dict.fromkeys(body.features)),
        templates=body.templates,
        secrets={name: SecretRef(value=text) for name, text in ({**body.secrets, **made}).items()},
    )


def _built(call: Call, wanted: AccountInFile) -> AccountDocument:
    """Return the document, made as an apply makes it.

    Raises:
        InvalidInputError: A field is wrong; names it.
    """
    for problem in account_problems(wanted):
        raise wrong(problem)
    here = Here(
        workspace=call.who.workspace,
        now=call.desk.now(),
        vault=Vault(call.desk.sealer, call.desk.now()),
        ids={},
        emails={},
        files={},
    )
    return account(wanted, None, here)


def wrong(problem: str) -> InvalidInputError:
    """Turn `accounts[slug].field: what is wrong; allowed` into an answer that names the field."""
    place, _, words = problem.partition(": ")
    field = place.partition("].")[2]
    if field == "secrets":
        field = f"secrets.{words.partition(' ')[0]}"
    allowed = words.partition("; ")[2] or words
    return InvalidInputError(f"{field}: {words}.", field=field, allowed=allowed[:300])


def check_base(call: Call, given: Any) -> None:
    """Refuse an address in place of the provider's, where calls may go to providers alone.

    Raises:
        InvalidInputError: One is given.
    """
    if given and given is not UNSET and not call.desk.settings.local_webhooks:
        raise InvalidInputError(
            "api_base: this installation calls providers alone.", field="api_base", allowed="none"
        )


def _digest(call: Call, body: NewAccount) -> str:
    """Return what tells a repeat: its key, and all but the secrets; empty without a key."""
    if not call.headers.get("idempotency-key"):
        return ""
    plain = replace(body, secrets=dict.fromkeys(sorted(body.secrets), ""))
    return f"{new_id(call, 'account')}:{digest_of(plain)}"


async def _again(call: Call, held: AccountDocument, doc: AccountDocument) -> Reply:
    """Answer a repeat with the account that is there.

    Raises:
        RefusalError: 409: it is no repeat.
    """
    if doc.digest and held.digest == doc.digest:
        return Reply(body=await detail(call, held), headers={**etag(held), **REPLAYED})
    if doc.digest and held.digest.partition(":")[0] == doc.digest.partition(":")[0]:
        key_conflict()
    raise _slug_taken()


def _slug_taken() -> RefusalError:
    return RefusalError(
        409,
        "slug_taken",
        "slug: an account has this name already.",
        field="slug",
        allowed="a name that no other account of the installation has",
    )


async def _taken(call: Call, doc: AccountDocument) -> Reply:
    """Answer who was second: with the same account, or why there cannot be two.

    Raises:
        RefusalError: 409 `already_connected`, by its provider's id; or as `_again`.
    """
    held = await call.desk.store.account(doc.workspace, doc.id)
    if held is not None:
        return await _again(call, held, doc)
    raise await _connected(call, doc)


async def _free(call: Call, doc: AccountDocument) -> None:
    """Refuse what is connected already, and a name under which another channel's talk is kept.

    Raises:
        RefusalError: 409.
    """
    where = {"channel": doc.channel, "external_id": doc.external_id}
    port = call.desk.store.port
    if await port.find(ACCOUNTS, doc.workspace, where, Page(order="external", limit=1)):
        raise await _connected(call, doc)
    page = Page(order="account", limit=1)
    kept = await port.find(SESSIONS, doc.workspace, {"account": doc.id}, page)
    if kept and kept[0].channel != doc.channel:
        raise RefusalError(
            409,
            "slug_used",
            f"slug: sessions of {kept[0].channel} are kept under this name.",
            field="slug",
            allowed=f"an account of {kept[0].channel}, or another name",
        )


async def _connected(call: Call, doc: AccountDocument) -> RefusalError:
    where = {"channel": doc.channel, "external_id": doc.external_id}
    page = Page(order="external", limit=1)
    found = await call.desk.store.port.find(ACCOUNTS, doc.workspace, where, page)
    return RefusalError(
        409,
        "already_connected",
        "external_id: this account is connected already.",
        field="external_id",
        allowed="an account that is not connected yet",
        account=found[0].id if found else "",
    )


async def _claimed(call: Call, doc: AccountDocument) -> None:
    """Take the name in the installation, as an apply does.

    Raises:
        RefusalError: 409 `slug_taken`, another workspace has it.
    """
    wanted = AccountInFile(slug=doc.id, channel=doc.channel, external_id=doc.external_id)
    try:
        file = WorkspaceFile(workspace=doc.workspace, accounts=(wanted,))
        await claim(call.desk.store.port, file)
    except SettingsError:
        raise _slug_taken() from None


# --- parts ---------------------------------------------------------------------------------------


async def written(
    call: Call, after: AccountDocument, action: str, before: AccountDocument | None
) -> AccountDocument:
    """Write the account with its record, and tell the services.

    Raises:
        StaleRevisionError: Somebody changed it since it was read.
        UniqueConflictError: Its slug or its id at the provider is taken.
    """
    shown = recorded(before) if before else None
    record = entry(call, action, f"account:{after.id}", shown, recorded(after))
    done = await write(call, ACCOUNTS, after, record)
    await told(call, done.id)
    return done


async def told(call: Call, slug: str) -> None:
    """Tell the services; what fails here the reconciler does soon."""
    try:
        await publish_account(call.desk.store.port, call.desk.bus, call.who.workspace, slug)
    except GatewayError as error:
        log.warning("desk.account_unpublished", extra={"account": slug, "code": error.code})

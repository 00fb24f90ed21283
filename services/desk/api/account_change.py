"""Changing accounts and disconnecting them; secrets that are not named stay sealed as they are."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET
from msgspec.structs import replace

from libs.common.channels import CHANNELS
from libs.common.documents import ACCOUNTS, DIRECTORY, SESSIONS, SYSTEM, AccountDocument
from libs.common.errors import InvalidInputError
from libs.common.store.api import In, Where
from libs.common.termination import LISTS
from libs.common.workspace_check import pointing
from libs.common.workspace_entries import SecretRef
from libs.common.workspace_file import AccountInFile, TemplateInFile, base_problems, templates_of
from libs.common.workspace_made import since
from libs.common.workspace_secrets import Vault
from libs.common.workspace_state import read_state
from services.desk.api.account_body import AccountPatch, DisconnectQuery
from services.desk.api.account_edit import account_of, check_base, told, written, wrong
from services.desk.api.account_shown import detail, recorded
from services.desk.api.act import confirmation_required, is_confirmed
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.audited import entry, remove, retried
from services.desk.policy_store import etag, expected_version
from services.desk.policy_whole import problems, whole_of

MOST_COUNTED = 10_000


# --- changing ------------------------------------------------------------------------------------


async def patch(call: Call) -> Reply:
    """Change an account, switch it on or off, or give it new secrets.

    Raises:
        InvalidInputError: A field is wrong; names it.
        NotFoundError: No such account in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """
    body: AccountPatch = call.body
    check_base(call, body.api_base)

    async def step(before: AccountDocument) -> AccountDocument:
        after = _patched(call, before, body)
        return before if after == before else await written(call, after, "account.patch", before)

    after = await retried(call, lambda: account_of(call), step)
    return Reply(body=await detail(call, after), headers=etag(after))


def _patched(call: Call, before: AccountDocument, body: AccountPatch) -> AccountDocument:
    """Return the account as it is to be; secrets that are not named stay sealed as they are.

    Raises:
        InvalidInputError: A field is wrong; names it.
    """
    plain = ("name", "api_base", "enabled", "features")
    given = {name: getattr(body, name) for name in plain if getattr(body, name) is not UNSET}
    if body.templates is not UNSET:
        given["templates"] = templates_of(_named(before, body.templates))
    after = replace(before, **given)
    for problem in base_problems(f"accounts[{before.id}]", after.api_base):
        raise wrong(problem)
    return after if body.secrets is UNSET else _rotated(call, after, body.secrets)


def _named(before: AccountDocument, templates: tuple[TemplateInFile, ...]) -> AccountInFile:
    return AccountInFile(
        slug=before.id,
        channel=before.channel,
        external_id=before.external_id,
        templates=templates,
    )


def _rotated(
    call: Call, before: AccountDocument, given: Mapping[str, str | None]
) -> AccountDocument:
    """Return the account with the secrets that are given, without those that are null.

    Raises:
        InvalidInputError: The channel has no such secret, or needs one that is null.
    """
    channel = CHANNELS[before.channel]
    known = (*channel.secrets, *channel.optional_secrets)
    for name, text in given.items():
        field = f"secrets.{name}"
        if name not in known:
            allowed = ", ".join(known)
            raise InvalidInputError(f"{field}: is unknown.", field=field, allowed=allowed)
        if text is None and name in channel.secrets:
            raise InvalidInputError(f"{field}: is needed.", field=field, allowed="a new one")
    now = call.desk.now()
    refs = {name: SecretRef(value=text) for name, text in given.items() if text is not None}
    fresh = Vault(call.desk.sealer, now).account(before.workspace, before.id, refs, before)
    kept = {name: text for name, text in before.sealed.items() if name not in given}
    sealed = kept | fresh
    return replace(before, sealed=sealed, secrets_at=since(sealed, before, now))


# --- disconnecting -------------------------------------------------------------------------------


async def delete(call: Call) -> Reply:
    """Disconnect an account, once that is confirmed where sessions are open; talk is kept.

    Raises:
        NotFoundError: No such account in this workspace.
        RefusalError: 409 `confirmation_required` with `token`, `expires_at`, `count` and
            `summary`; 409 `in_use`, something names it; 412, `If-Match` names another version.
    """
    query: DisconnectQuery = call.query
    found = await account_of(call)
    expected = expected_version(call)
    if expected is not None and found.rev != expected:
        raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
    await _unused(call, found)
    port = call.desk.store.port
    where: Where = {"account": found.id, "list": In(LISTS)}
    count = await port.count(SESSIONS, found.workspace, where, limit=MOST_COUNTED)
    context = f"account:{found.workspace}/{found.id}:{count}:{call.who.agent}"
    if count and not is_confirmed(call, query.confirm, context):
        raise _unconfirmed(call, found, context, count)
    record = entry(call, "account.delete", f"account:{found.id}", recorded(found))
    await remove(call, ACCOUNTS, found, record)
    kept = await port.count(SESSIONS, found.workspace, {"account": found.id}, limit=1)
    if not kept:  # else the name stays with the workspace that has its talk
        await port.delete(DIRECTORY, SYSTEM, f"account:{found.id}")
    await told(call, found.id)
    return Reply(status=204)


async def _unused(call: Call, found: AccountDocument) -> None:
    """Refuse to take away what something else names.

    Raises:
        RefusalError: 409 `in_use`, with what names it.
    """
    workspace = found.workspace
    state = await read_state(call.desk.store.port, workspace)
    naming = list(pointing(state, {"accounts": {found.id}}))
    before = await whole_of(call.desk.store, workspace)
    after = replace(before, accounts=before.accounts - {found.id})
    naming += [str(one) for one in problems(after, before)]
    if naming:
        raise RefusalError(
            409, "in_use", f"{naming[0]}; take it out there first.", naming="; ".join(naming)[:1000]
        )


def _unconfirmed(call: Call, found: AccountDocument, context: str, count: int) -> RefusalError:
    things = "1 open session" if count == 1 else f"{count} open sessions"
    words = f"Disconnect {found.name or found.id} with {things}? Nothing more can be sent in them."
    refusal = confirmation_required(call, context, words)
    refusal.detail = "Repeat the call with `confirm` set to this token to disconnect the account."
    refusal.facts = {**refusal.facts, "count": str(count)}
    return refusal

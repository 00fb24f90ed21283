"""Bots: listed, made, changed, tried and deleted; every change on record, without secrets."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from libs.common.bots.secrets import fresh_secret, open_secret, seal_secret
from libs.common.documents import AUDIT, BOTS, AuditEntry, Bot, FaqEntry, FlowStep
from libs.common.errors import InvalidInputError, NotFoundError, SealError
from libs.common.ids import derive_id
from libs.common.policy import BotKind, HostWithBot, Policy
from services.desk.api.bot_content import BotContent, check_rank, keep_files, with_content
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.policy_store import Change, changed, etag, expected_version, publish
from services.desk.policy_whole import Whole

SECRETS = 2
"""Secrets that sign at a time: the new one, and the one before it until the next change."""


class BotRow(msgspec.Struct, frozen=True, kw_only=True):
    """A bot without its content; `size` counts its entries or steps."""

    id: str
    name: str
    kind: BotKind
    enabled: bool
    channels: tuple[str, ...]
    automation: bool
    size: int
    version: int


class BotList(msgspec.Struct, frozen=True, kw_only=True):
    """Every bot, by name."""

    items: tuple[BotRow, ...]


class BotView(msgspec.Struct, frozen=True, kw_only=True):
    """A bot with its content.

    Attributes:
        secrets: How many secrets sign its calls: 2 while one is being changed. They are not shown.
        secret: The new secret, in the one answer that makes it; else empty.
        warnings: What is allowed but hardly meant, such as two bots for one channel.
    """

    id: str
    name: str
    kind: BotKind
    enabled: bool
    channels: tuple[str, ...]
    automation: bool
    faq: tuple[FaqEntry, ...]
    fuzzy: int
    misses: int
    start: str
    steps: tuple[FlowStep, ...]
    layout: dict[str, tuple[int, int]]
    url: str
    secrets: int
    version: int
    secret: str = ""
    warnings: tuple[str, ...] = ()


class BotSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The new secret, shown once; the one before it stays valid until the next change."""

    secret: str
    secrets: int


# --- reading -----------------------------------------------------------------------------------


async def bots(call: Call) -> Reply:
    """List the bots."""
    found = await call.desk.store.all_bots(call.who.workspace)
    return Reply(body=BotList(items=tuple(map(_row, found))))


async def bot(call: Call) -> Reply:
    """Show one bot; `ETag` names its version.

    Raises:
        NotFoundError: No such bot in this workspace.
    """
    found = await one_bot(call)
    return Reply(body=view(call, found), headers=etag(found))


async def one_bot(call: Call) -> Bot:
    """Return the bot that the path names.

    Raises:
        NotFoundError: No such bot in this workspace.
    """
    found = await call.desk.store.port.get(BOTS, call.who.workspace, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such bot.")
    return found


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make a bot; a webhook bot's secret is in this answer and never again.

    Raises:
        InvalidInputError: Something in it is wrong; names the place.
        ForbiddenError: A webhook bot takes an admin: it gets what visitors write.
    """
    content: BotContent = call.body
    blank = Bot(id=_new_id(), workspace=call.who.workspace, name="", kind=content.kind)
    secret = ""
    if content.kind == "webhook":
        secret = fresh_secret()
        sealed = seal_secret(call.desk.sealer, blank.workspace, blank.id, secret)
        blank = msgspec.structs.replace(blank, sealed=sealed)
    made = await with_content(call, blank, content)
    files = await keep_files(call, made)
    try:
        done = await changed(call, _change(call, "bot.create", made.id, lambda _: blank, made))
    except Exception:
        await call.desk.attachments.release(files)
        raise
    body = view(call, done.document, secret=secret, warnings=done.warnings)
    return Reply(body=body, status=201, headers=etag(done.document))


async def put(call: Call) -> Reply:
    """Change a bot to exactly this; its secret stays.

    Raises:
        InvalidInputError: Something in it is wrong, or its kind is another; names the place.
        NotFoundError: No such bot in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """
    before = await one_bot(call)
    content: BotContent = call.body
    if content.kind != before.kind:
        raise InvalidInputError(
            "kind: a bot stays of its kind; make another one.", field="kind", allowed=before.kind
        )
    wanted = await with_content(call, before, content)
    await keep_files(call, wanted)
    done = await changed(call, _change(call, "bot.put", before.id, _pick(before.id), wanted))
    return Reply(
        body=view(call, done.document, warnings=done.warnings), headers=etag(done.document)
    )


async def delete(call: Call) -> Reply:
    """Delete a bot that no rule names; sessions that it hosts are given to people.

    Raises:
        NotFoundError: No such bot in this workspace.
        RefusalError: 409 `in_use`, rules name it; 412, `If-Match` names another version.
    """
    found = await one_bot(call)
    check_rank(call, found.kind)
    expected = expected_version(call)
    if expected is not None and found.rev != expected:
        raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
    rules = _naming((await call.desk.store.policy(call.who.workspace)).rules, found.id)
    if rules:
        raise RefusalError(
            409,
            "in_use",
            f"Rules host sessions with this bot: {', '.join(rules)}. Change them first.",
            rules=", ".join(rules),
        )
    await call.desk.store.port.insert(AUDIT, _deleted(call, found))
    await call.desk.store.port.delete(BOTS, call.who.workspace, found.id)
    await publish(call)
    return Reply(status=204)


async def rotate(call: Call) -> Reply:
    """Give a webhook bot a new secret; the present one stays valid until the next change.

    Raises:
        NotFoundError: No such bot in this workspace.
        RefusalError: 409 `no_webhook`, it is of another kind.
    """
    found = await one_bot(call)
    if found.kind != "webhook":
        raise RefusalError(409, "no_webhook", "Only webhook bots have a secret.")
    fresh = fresh_secret()
    sealer = call.desk.sealer

    def edit(_whole: Whole, before: Bot) -> Bot:
        text = " ".join((fresh, *_secrets(call, before)[: SECRETS - 1]))
        sealed = seal_secret(sealer, before.workspace, before.id, text)
        return msgspec.structs.replace(before, sealed=sealed)

    change = Change(
        action="bot.secret",
        object=f"bot:{found.id}",
        own=f"bots[{found.id}]",
        pick=_pick(found.id),
        edit=edit,
        shown=lambda one: {"secrets": len(_secrets(call, one)), "version": one.rev},
    )
    done = await changed(call, change)
    body = BotSecret(secret=fresh, secrets=len(_secrets(call, done.document)))
    return Reply(body=body, headers=etag(done.document))


# --- parts -------------------------------------------------------------------------------------


def view(call: Call, found: Bot, *, secret: str = "", warnings: tuple[str, ...] = ()) -> BotView:
    """Return the bot as it is shown."""
    return BotView(
        id=found.id,
        name=found.name,
        kind=found.kind,
        enabled=found.enabled,
        channels=found.channels,
        automation=found.automation,
        faq=found.faq,
        fuzzy=found.fuzzy,
        misses=found.misses,
        start=found.start,
        steps=found.steps,
        layout=found.layout,
        url=found.url,
        secrets=len(_secrets(call, found)),
        version=found.rev,
        secret=secret,
        warnings=warnings,
    )


def _change(call: Call, action: str, bot_id: str, pick: Any, wanted: Bot) -> Change[Bot]:
    def edit(_whole: Whole, before: Bot) -> Bot:
        return msgspec.structs.replace(wanted, rev=before.rev, sealed=before.sealed)

    return Change(
        action=action,
        object=f"bot:{bot_id}",
        own=f"bots[{bot_id}]",
        pick=pick,
        edit=edit,
        shown=lambda one: _recorded(call, one) if one.name else None,
    )


def _pick(bot_id: str) -> Any:
    def pick(whole: Whole) -> Bot:
        for found in whole.bots:
            if found.id == bot_id:
                return found
        raise NotFoundError("There is no such bot.")

    return pick


def _recorded(call: Call, found: Bot) -> dict[str, Any]:
    """Return what the record says: all but secrets, which the query of an address may hold."""
    shown: dict[str, Any] = msgspec.to_builtins(view(call, found))
    for name in ("secret", "warnings", "version"):
        del shown[name]
    shown["url"] = found.url.partition("?")[0]
    return shown


def _deleted(call: Call, found: Bot) -> AuditEntry:
    return AuditEntry(
        id=derive_id("aud", call.who.workspace, secrets.token_hex(16)),
        workspace=call.who.workspace,
        at=call.desk.now(),
        actor=f"agent:{call.who.agent}",
        action="bot.delete",
        object=f"bot:{found.id}",
        before=msgspec.json.encode(_recorded(call, found)).decode(),
    )


def _secrets(call: Call, found: Bot) -> list[str]:
    """Return the secrets of a bot, newest first; none where they cannot be opened."""
    if not found.sealed:
        return []
    try:
        return open_secret(call.desk.sealer, found).split()
    except SealError:
        return []


def _naming(rules: Any, bot_id: str) -> list[str]:
    """Return the ids of the rules that host with the bot."""
    policy = Policy(rules=rules)
    return [
        rule.id
        for rule in policy.rules
        if any(isinstance(do, HostWithBot) and do.bot == bot_id for do in rule.actions)
    ]


def _row(found: Bot) -> BotRow:
    return BotRow(
        id=found.id,
        name=found.name,
        kind=found.kind,
        enabled=found.enabled,
        channels=found.channels,
        automation=found.automation,
        size=len(found.faq) + len(found.steps),
        version=found.rev,
    )


def _new_id() -> str:
    """Return a new id: no bot gets that of a deleted one, whose content may be remembered."""
    return f"bot-{secrets.token_hex(6)}"

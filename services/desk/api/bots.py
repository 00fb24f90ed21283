"""Bots: listed, made, changed, tried and deleted; every change on record, without secrets."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from libs.common.bots.secrets import fresh_secret, open_secret, seal_secret
from libs.common.documents import BOTS, Bot, FaqEntry, FlowStep
from libs.common.errors import InvalidInputError, NotFoundError, SealError
from libs.common.ids import derive_id
from libs.common.policy import BotKind
from libs.common.rules.finding import Finding
from services.desk.api.bot_content import BotContent, check_rank, keep_files, with_content
from services.desk.api.problem import RefusalError
from services.desk.api.read import checked_key
from services.desk.api.route import Call, Reply
from services.desk.policy_store import Change, changed, etag
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
    next: str | None = None


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
    found = await call.desk.store.bot(call.who.workspace, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such bot.")
    return found


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make a bot; a webhook bot's secret is in this answer and never again.

    With an `Idempotency-Key` a repeat answers 200 with the bot that the first one made.

    Raises:
        InvalidInputError: Something in it is wrong; names the place.
        ForbiddenError: A webhook bot takes an admin: it gets what visitors write.
        RefusalError: 409 `idempotency_conflict`, the key made another bot, or one that is deleted.
    """
    content: BotContent = call.body
    blank = Bot(id=await _new_id(call), workspace=call.who.workspace, name="", kind=content.kind)
    secret = ""
    if content.kind == "webhook":
        secret = fresh_secret()
        sealed = seal_secret(call.desk.sealer, blank.workspace, blank.id, secret)
        blank = msgspec.structs.replace(blank, sealed=sealed)
    made = await with_content(call, blank, content)
    files = await keep_files(call, made)
    try:
        done = await changed(call, _change(call, "bot.create", made.id, _absent(blank), made))
    except _MadeBeforeError as before:
        await call.desk.attachments.release(files)
        return _replayed(call, before.bot, made)
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

    def edit(_whole: Whole, before: Bot) -> Bot:
        gone = Bot(id=before.id, workspace=before.workspace, name=before.name, kind=before.kind)
        return msgspec.structs.replace(gone, rev=before.rev, enabled=False, deleted=True)

    change = Change(
        action="bot.delete",
        object=f"bot:{found.id}",
        own="",
        pick=_pick(found.id),
        edit=edit,
        shown=lambda one: None if one.deleted else _recorded(call, one),
        refuse=_in_use,
    )
    await changed(call, change)
    await call.desk.store.port.delete(BOTS, call.who.workspace, found.id)
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


def _secrets(call: Call, found: Bot) -> list[str]:
    """Return the secrets of a bot, newest first; none where they cannot be opened."""
    if not found.sealed:
        return []
    try:
        return open_secret(call.desk.sealer, found).split()
    except SealError:
        return []


def _in_use(problems: Sequence[Finding]) -> RefusalError:
    """Return the 409 that names the rules, from the problems their actions would have."""
    rules = ", ".join(dict.fromkeys(problem.place.split(".")[1] for problem in problems))
    text = f"Rules host sessions with this bot: {rules}. Change them first."
    return RefusalError(409, "in_use", text, rules=rules)


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


async def _new_id(call: Call) -> str:
    """Return a new id: no bot gets that of a deleted one, whose content may be remembered.

    Raises:
        InvalidInputError: The `Idempotency-Key` is too long or no visible ASCII.
        RefusalError: 409, the bot that was made with the key is deleted.
    """
    given = call.headers.get("idempotency-key", "")
    if not given:
        return f"bot-{secrets.token_hex(6)}"
    parts = (call.who.workspace, call.who.agent, checked_key(given))
    bot_id = derive_id("bot", *parts).replace("_", "-")
    if await _was_deleted(call, bot_id):
        raise _conflict("The bot that was made with this key is deleted; take another key.")
    return bot_id


async def _was_deleted(call: Call, bot_id: str) -> bool:
    """Tell whether there was such a bot; one that is being made has a record already, too."""
    store, workspace = call.desk.store, call.who.workspace
    if await store.bot(workspace, bot_id) is not None:
        return False
    newest = await store.audit(workspace, about=f"bot:{bot_id}", after=None, limit=1)
    return any(entry.action == "bot.delete" for entry in newest)


class _MadeBeforeError(Exception):
    """The bot is there already: the same request made it."""

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot.id)
        self.bot = bot


def _absent(blank: Bot) -> Any:
    def pick(whole: Whole) -> Bot:
        for found in whole.bots:
            if found.id == blank.id:
                raise _MadeBeforeError(found)
        return blank

    return pick


def _replayed(call: Call, found: Bot, made: Bot) -> Reply:
    """Answer with the bot of the first request, as it is by now; its secret is not repeated."""
    same = msgspec.structs.replace(made, rev=found.rev, sealed=found.sealed)
    if found.rev == 1 and found != same:
        raise _conflict("The key was used for another bot.")
    headers = {**etag(found), "Idempotent-Replayed": "true"}
    return Reply(body=view(call, found), headers=headers)


def _conflict(text: str) -> RefusalError:
    return RefusalError(409, "idempotency_conflict", text)

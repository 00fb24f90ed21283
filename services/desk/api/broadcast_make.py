"""Making and changing the document of a broadcast from what people ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from libs.common.channel import Account
from libs.common.documents import Attachment
from libs.common.later import Broadcast
from libs.common.switches import QuietHours
from services.desk.api.broadcast_body import CONTENT, BroadcastPatch, NewBroadcast
from services.desk.api.broadcast_checks import (
    body_of,
    check_pace,
    check_quiet,
    content,
    fallback,
    local_of,
    places,
    template_body,
)
from services.desk.api.compose import NewMessage
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call
from services.desk.api.standard_messages import picked
from services.desk.audited import digest_of
from services.desk.broadcast_store import has_recipients
from services.desk.scheduling import renamed, wrong

CHOSEN_BY = ("audience", "at", "zone", "quiet_hours")
"""What the recipients that were gathered were chosen by."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The document, the files in it, and whether its time is another."""

    doc: Broadcast
    files: Mapping[str, Attachment]
    timed: bool = False


async def drafted(call: Call, body: NewBroadcast, id_: str) -> Made:
    """Return the draft that *body* asks for.

    Raises:
        InvalidInputError: Something in it is wrong; names the field and what is allowed.
    """
    now = call.desk.now()
    blank = Broadcast(
        id=id_,
        workspace=call.who.workspace,
        name=body.name.strip(),
        author=call.who.agent,
        author_name=call.who.name,
        audience=body.audience.wanted(),
        parts=(),
        zone=body.zone,
        local=body.at,
        quiet_hours=await _quiet(call, body.quiet_hours),
        when_closed=body.when_closed,
        per_minute=body.per_minute,
        created_at=now,
        updated_at=now,
        digest=digest_of(body),
    )
    given = {name: getattr(body, name) for name in CONTENT if getattr(body, name)}
    wanted = {"content": given, "fallback": body.fallback_template, "at": body.at}
    return await _finished(call, blank, wanted)


async def patched(call: Call, before: Broadcast, patch: BroadcastPatch) -> Made:
    """Return *before* with what *patch* changes.

    Raises:
        InvalidInputError: Something in it is wrong; names the field and what is allowed.
        RefusalError: 409 `recipients_chosen`.
    """
    given = {
        name: value
        for name in patch.__struct_fields__
        if (value := getattr(patch, name)) is not UNSET
    }
    if before.cursor or before.gathered:
        _check_unchosen(given)
    doc = msgspec.structs.replace(
        before,
        name=given.get("name", before.name).strip(),
        audience=given["audience"].wanted() if "audience" in given else before.audience,
        zone=given.get("zone", before.zone),
        quiet_hours=await _quiet(call, given.get("quiet_hours", before.quiet_hours)),
        when_closed=given.get("when_closed", before.when_closed),
        per_minute=given.get("per_minute", before.per_minute),
    )
    wanted: dict[str, Any] = {
        "content": {name: given[name] for name in CONTENT if given.get(name)},
        "fallback": given.get("fallback_template", UNSET),
        "at": given.get("at", before.local if "zone" in given else UNSET),
    }
    if not wanted["content"] and not any(name in given for name in CONTENT):
        wanted["content"] = UNSET
    return await _finished(call, doc, wanted)


async def checked(call: Call, doc: Broadcast) -> None:
    """Look once more at what was kept before: it is to go out now.

    Raises:
        InvalidInputError: Something of it is wrong by now; names the field and what is allowed.
    """
    wanted = {"content": UNSET, "fallback": UNSET, "at": doc.local}
    await _finished(call, doc, wanted)


# --- inside ------------------------------------------------------------------------------------


async def _finished(call: Call, doc: Broadcast, wanted: Mapping[str, Any]) -> Made:
    """Check the whole, and put in what had to be looked up."""
    accounts = await places(call, doc.audience)
    check_pace(doc.per_minute, await _paced(call, doc, accounts), call)
    check_quiet(doc.quiet_hours)
    doc, files = await _with_content(call, doc, wanted["content"], accounts)
    doc, more = await _with_fallback(call, doc, wanted["fallback"], accounts)
    if wanted["at"] is UNSET:
        return Made(doc=doc, files={**files, **more})
    local = local_of(wanted["at"], doc.zone, call.desk.now())
    timed = msgspec.structs.replace(doc, local=local)
    return Made(doc=timed, files={**files, **more}, timed=True)


async def _paced(call: Call, doc: Broadcast, accounts: list[Account]) -> list[Account]:
    """Return those of the accounts that recipients are on, where these are chosen; else all."""
    if not doc.gathered:
        return accounts
    return [one for one in accounts if await has_recipients(call.desk.store.port, doc, one.slug)]


async def _with_content(
    call: Call, doc: Broadcast, given: dict[str, Any] | UnsetType, accounts: list[Account]
) -> tuple[Broadcast, Mapping[str, Attachment]]:
    """Return the broadcast with its parts; UNSET: those it has, looked at anew."""
    if isinstance(given, UnsetType):
        found = await content(call, body_of(doc.parts), accounts)
        return doc, found.files
    standard = given.pop("standard_message", "")
    if not standard:
        found = await content(call, NewMessage(**given), accounts)
        return msgspec.structs.replace(doc, parts=found.parts, standard_message=""), found.files
    if given:
        field = next(iter(given))
        raise wrong(field, "a standard message has its own content", "nothing beside it")
    message = await picked(call, standard)
    with renamed("", "standard_message"):
        found = await content(call, body_of(message.parts), accounts)
    parts = found.parts
    return msgspec.structs.replace(doc, parts=parts, standard_message=message.id), found.files


async def _with_fallback(
    call: Call, doc: Broadcast, given: Any, accounts: list[Account]
) -> tuple[Broadcast, Mapping[str, Attachment]]:
    """Return the broadcast with its template for closed windows; UNSET: the one it has."""
    if given is UNSET:
        given = template_body(doc.template) if doc.template is not None else None
    if doc.when_closed == "template" and given is None:
        words = "`when_closed` is `template`, so one is needed"
        raise wrong("fallback_template", words, "an approved template")
    if given is None:
        return msgspec.structs.replace(doc, template=None), {}
    if doc.when_closed != "template":
        words = "it goes out only where `when_closed` is `template`"
        raise wrong("fallback_template", words, "null")
    part, files = await fallback(call, given, accounts)
    return msgspec.structs.replace(doc, template=part), files


async def _quiet(call: Call, given: QuietHours | UnsetType | None) -> QuietHours | None:
    if isinstance(given, UnsetType):
        return (await call.desk.store.workspace(call.who.workspace)).settings.quiet_hours
    return QuietHours(start=given.start, end=given.end) if given is not None else None


def _check_unchosen(given: Mapping[str, Any]) -> None:
    """Refuse to change what recipients were chosen by.

    Raises:
        RefusalError: 409, names the field.
    """
    for name in CHOSEN_BY:
        if name in given:
            raise RefusalError(
                409,
                "recipients_chosen",
                f"{name}: the recipients are chosen already; make a copy to choose others.",
                field=name,
                allowed="name, content, when_closed, fallback_template, per_minute",
            )

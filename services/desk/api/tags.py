"""Tags: the words that contacts are sorted by. Contacts hold ids, so a new name is one write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.documents import CONTACTS, TAGS, Tag
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.store.api import Page
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.broadcast_store import choosing_by
from services.desk.policy_store import etag
from services.desk.tagging import MOST_TAGS, all_tags, buried, detach, name_key, tags_by_id

HELD_LIMIT = 1000
"""Contacts of a tag are counted up to here."""

TagName = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=60)
]
Color = Annotated[str, Meta(pattern=r"^(#[0-9a-f]{6})?$")]


class NewTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag; its name is unique in the workspace, whatever its case. `color` is `#rrggbb`."""

    name: TagName
    color: Color = ""


class TagPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    name: TagName | UnsetType = UNSET
    color: Color | UnsetType = UNSET


class TagView(msgspec.Struct, frozen=True, kw_only=True):
    """A tag as contacts show it."""

    id: str
    name: str
    color: str


class TagDetail(TagView, frozen=True, kw_only=True):
    """A tag, and how many contacts hold it; 1,000 means "1,000 or more"."""

    contacts: int


class TagList(msgspec.Struct, frozen=True, kw_only=True):
    """Every tag, by name."""

    items: tuple[TagView, ...]
    next: str | None = None


async def tags(call: Call) -> Reply:
    """List the tags."""
    found = await all_tags(call.desk.store.port, call.who.workspace)
    return Reply(body=TagList(items=tuple(map(view, found))))


async def tag(call: Call) -> Reply:
    """Show a tag; `ETag` names its version.

    Raises:
        NotFoundError: No such tag in this workspace.
    """
    found = await _tag(call)
    where = {"tags": found.id}
    held = await call.desk.store.port.count(CONTACTS, found.workspace, where, limit=HELD_LIMIT)
    body = TagDetail(id=found.id, name=found.name, color=found.color, contacts=held)
    return Reply(body=body, headers=etag(found))


async def create(call: Call) -> Reply:
    """Make a tag; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    Raises:
        RefusalError: 409 `name_taken`, another has the name: `facts.id`; 409
            `idempotency_conflict`; 409 `too_many`.
    """
    body: NewTag = call.body
    name = body.name.strip()
    made = Tag(
        id=new_id(call, "tag"),
        workspace=call.who.workspace,
        name=name,
        name_key=_key(name),
        color=body.color,
        digest=digest_of(body),
    )
    before = await call.desk.store.port.get(TAGS, made.workspace, made.id)
    if before is not None:
        return _replayed(before, made)
    if len(await all_tags(call.desk.store.port, made.workspace)) >= MOST_TAGS:
        raise RefusalError(
            409, "too_many", f"There may be {MOST_TAGS} tags.", allowed=f"at most {MOST_TAGS} tags"
        )
    made = await _written(call, made, "tag.create", None)
    return Reply(body=view(made), status=201, headers=etag(made))


async def patch(call: Call) -> Reply:
    """Rename a tag, or give it another colour: one write, and every contact shows it.

    Raises:
        NotFoundError: No such tag in this workspace.
        RefusalError: 409 `name_taken`, another has the name; 412, `If-Match` names another version.
    """
    body: TagPatch = call.body

    async def step(before: Tag) -> Tag:
        after = before
        if body.name is not UNSET:
            name = body.name.strip()
            after = msgspec.structs.replace(after, name=name, name_key=_key(name))
        if body.color is not UNSET:
            after = msgspec.structs.replace(after, color=body.color)
        return before if after == before else await _written(call, after, "tag.patch", before)

    after = await retried(call, lambda: _tag(call), step)
    return Reply(body=view(after), headers=etag(after))


async def delete(call: Call) -> Reply:
    """Delete a tag; contacts show it no more at once, and lose it page by page.

    Raises:
        NotFoundError: No such tag in this workspace.
        RefusalError: 409 `in_use`, a broadcast is to be sent by it; 412, `If-Match` names another
            version.
    """

    async def step(before: Tag) -> Tag:
        await _check_unused(call, before)
        record = entry(call, "tag.delete", f"tag:{before.id}", view(before))
        return await write(call, TAGS, buried(before, call.desk.now()), record)

    gone = await retried(call, lambda: _tag(call), step)
    await detach(call.desk.store.port, gone.workspace, gone)
    return Reply(status=204)


def view(found: Tag) -> TagView:
    """Return a tag as it is shown."""
    return TagView(id=found.id, name=found.name, color=found.color)


async def known_tags(call: Call, ids: Sequence[str], field: str) -> dict[str, Tag]:
    """Return the tags.

    Raises:
        InvalidInputError: One is not known; names its place.
    """
    found = await tags_by_id(call.desk.store.port, call.who.workspace, ids)
    for place, one in enumerate(ids):
        if one not in found:
            raise InvalidInputError(
                f"{field}.{place}: there is no such tag; allowed: ids of `GET /tags`.",
                field=f"{field}.{place}",
                allowed="ids of `GET /tags`",
            )
    return found


async def _tag(call: Call) -> Tag:
    found = await call.desk.store.port.get(TAGS, call.who.workspace, call.params["id"])
    if found is None or found.deleted_since is not None:
        raise NotFoundError("There is no such tag.")
    return found


async def _check_unused(call: Call, found: Tag) -> None:
    """Refuse to take from broadcasts under way what says who gets them, or who must not.

    Raises:
        RefusalError: 409, names them.
    """
    waiting = await choosing_by(call.desk.store.port, found.workspace, found.id)
    if waiting:
        ids = ", ".join(one.id for one in waiting)
        text = "A broadcast still chooses its recipients by this tag; change or cancel that first."
        raise RefusalError(409, "in_use", text, used_by=ids)


async def _written(call: Call, after: Tag, action: str, before: Tag | None) -> Tag:
    """Write the tag with its record.

    Raises:
        RefusalError: 409 `name_taken`.
        StaleRevisionError: Somebody changed it since it was read.
    """
    shown = view(before) if before else None
    record = entry(call, action, f"tag:{after.id}", shown, view(after))
    try:
        return await write(call, TAGS, after, record)
    except UniqueConflictError:
        page = Page(order="name", limit=1)
        where = {"name_key": after.name_key}
        found = await call.desk.store.port.find(TAGS, after.workspace, where, page)
        raise RefusalError(
            409,
            "name_taken",
            "name: another tag has this name.",
            field="name",
            allowed="a name that no other tag has, whatever its case",
            id=found[0].id if found else "",
        ) from None


def _replayed(before: Tag, made: Tag) -> Reply:
    if before.deleted_since is not None or before.digest != made.digest:
        key_conflict()
    headers = {**etag(before), "Idempotent-Replayed": "true"}
    return Reply(body=view(before), headers=headers)


def _key(name: str) -> str:
    """Return what the name is compared by.

    Raises:
        InvalidInputError: Nothing of it can be seen.
    """
    key = name_key(name)
    if not key:
        raise InvalidInputError(
            "name: nothing of it can be seen.", field="name", allowed="a name that is not blank"
        )
    return key

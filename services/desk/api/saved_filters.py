"""Filters of the inbox that agents keep under a name, and the one that a login shows first."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.saved_filters import (
    INBOX_CHOICES,
    SAVED_FILTERS,
    FilterValues,
    InboxChoice,
    SavedFilter,
)
from services.desk.api.problem import RefusalError
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import check_channels
from services.desk.api.visible import channels_by_slug
from services.desk.audited import digest_of, entry, key_conflict, new_id, remove, retried, write
from services.desk.inbox_choice import MOST, SHARED, choice_of, filters_of, sees, shown_first
from services.desk.policy_store import etag

_NAMED = 50
"""Accounts that a refusal names."""
FilterName = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=60)
]
FilterId = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]


class NewFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter to keep. `shared` shows it to everybody, which takes a lead."""

    name: FilterName
    query: FilterValues
    shared: bool = False


class FilterPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    name: FilterName | UnsetType = UNSET
    query: FilterValues | UnsetType = UNSET


class FilterView(msgspec.Struct, frozen=True, kw_only=True):
    """A kept filter. `query` has the parameters of `GET /sessions`; `mine`: the caller keeps it."""

    id: str
    name: str
    shared: bool
    mine: bool
    query: FilterValues


class FilterList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own filters, by name, then the shared ones."""

    items: tuple[FilterView, ...]
    next: str | None = None


class FirstChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a login is to show: a kept filter by its id, or values; neither: as at first."""

    filter: FilterId = ""
    query: FilterValues | None = None


class FirstShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a login shows; `filter` is the kept filter that it is, or empty."""

    filter: str
    query: FilterValues


async def saved_filters(call: Call) -> Reply:
    """List the filters that the caller may use."""
    return Reply(body=FilterList(items=await shown_filters(call)))


async def shown_filters(call: Call) -> tuple[FilterView, ...]:
    """Return the filters that the caller may use."""
    who = call.who
    found = await filters_of(call.desk.store.port, who.workspace, who.agent, who.scope)
    return tuple(view(one, who.agent) for one in found)


async def saved_filter(call: Call) -> Reply:
    """Show one filter; `ETag` names its version.

    Raises:
        NotFoundError: None that the caller may use.
    """
    found = await _filter(call)
    return Reply(body=view(found, call.who.agent), headers=etag(found))


async def create(call: Call) -> Reply:
    """Keep a filter; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    Raises:
        InvalidInputError: The filter names an unknown kind of channel, or account.
        RefusalError: 403, only a lead shares; 409 `too_many`, or the key made something else.
    """
    body: NewFilter = call.body
    await _check_values(call, body.query)
    place = SHARED if body.shared else call.who.agent
    _check_lead(call, place)
    made = SavedFilter(
        id=new_id(call, "flt"),
        workspace=call.who.workspace,
        place=place,
        agent=call.who.agent,
        name=body.name.strip(),
        query=body.query,
        created_at=call.desk.now(),
        digest=digest_of(body),
    )
    port = call.desk.store.port
    before = await port.get(SAVED_FILTERS, made.workspace, made.id)
    if before is not None:
        return _replayed(call, before, made)
    where = {"place": place}
    if await port.count(SAVED_FILTERS, made.workspace, where, limit=MOST) >= MOST:
        allowed = f"at most {MOST} filters of one agent, and {MOST} shared ones"
        raise RefusalError(409, "too_many", f"There may be {allowed}.", allowed=allowed)
    shown = view(made, call.who.agent)
    record = entry(call, "filter.create", f"filter:{made.id}", None, shown)
    made = await write(call, SAVED_FILTERS, made, record)
    return Reply(body=shown, status=201, headers=etag(made))


async def patch(call: Call) -> Reply:
    """Give a filter another name, or other values.

    Raises:
        NotFoundError: None that the caller may use.
        RefusalError: 403, only a lead changes a shared one; 412, `If-Match` names another version.
    """
    body: FilterPatch = call.body
    if body.query is not UNSET:
        await _check_values(call, body.query)

    async def step(before: SavedFilter) -> SavedFilter:
        _check_lead(call, before.place)
        after = msgspec.structs.replace(
            before,
            name=before.name if body.name is UNSET else body.name.strip(),
            query=before.query if body.query is UNSET else body.query,
        )
        if after == before:
            return before
        shown = (view(one, call.who.agent) for one in (before, after))
        record = entry(call, "filter.patch", f"filter:{after.id}", *shown)
        return await write(call, SAVED_FILTERS, after, record)

    after = await retried(call, lambda: _filter(call), step)
    return Reply(body=view(after, call.who.agent), headers=etag(after))


async def delete(call: Call) -> Reply:
    """Delete a filter; who is shown it at login is shown what everybody is at first.

    Raises:
        NotFoundError: None that the caller may use.
        RefusalError: 403, only a lead deletes a shared one; 412, `If-Match` names another version.
    """

    async def step(before: SavedFilter) -> SavedFilter:
        _check_lead(call, before.place)
        shown = view(before, call.who.agent)
        record = entry(call, "filter.delete", f"filter:{before.id}", shown)
        await remove(call, SAVED_FILTERS, before, record)
        return before

    await retried(call, lambda: _filter(call), step)
    return Reply(status=204)


async def first(call: Call) -> Reply:
    """Show what a login of the caller shows."""
    choice = await choice_of(call.desk.store.port, call.who.workspace, call.who.agent)
    return Reply(body=await first_shown(call, choice), headers=etag(choice))


async def put_first(call: Call) -> Reply:
    """Choose what a login of the caller shows.

    Raises:
        InvalidInputError: Both are named, a filter that the caller may not use, or an unknown kind
            of channel.
        RefusalError: 412, `If-Match` names another version.
    """
    body: FirstChoice = call.body
    port, who = call.desk.store.port, call.who
    await _check_choice(call, body)

    async def step(before: InboxChoice) -> InboxChoice:
        after = msgspec.structs.replace(before, filter=body.filter, query=body.query)
        if after == before:
            return before
        shown = [await first_shown(call, one) for one in (before, after)]
        record = entry(call, "inbox.default", f"agent:{who.agent}", *shown)
        return await write(call, INBOX_CHOICES, after, record)

    after = await retried(call, lambda: choice_of(port, who.workspace, who.agent), step)
    return Reply(body=await first_shown(call, after), headers=etag(after))


async def first_shown(call: Call, choice: InboxChoice) -> FirstShown:
    """Return what *choice* of the caller means now."""
    who = call.who
    port = call.desk.store.port
    chosen, query = await shown_first(port, who.workspace, who.agent, who.scope, choice)
    return FirstShown(filter=chosen, query=query)


def view(saved: SavedFilter, me: str) -> FilterView:
    """Return a filter as it is shown to the agent *me*."""
    return FilterView(
        id=saved.id,
        name=saved.name,
        shared=saved.place == SHARED,
        mine=saved.agent == me,
        query=saved.query,
    )


async def _filter(call: Call) -> SavedFilter:
    found = await _usable(call, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such filter.")
    return found


async def _usable(call: Call, filter_id: str) -> SavedFilter | None:
    found = await call.desk.store.port.get(SAVED_FILTERS, call.who.workspace, filter_id)
    return found if found and sees(found, call.who.agent, call.who.scope) else None


async def _check_values(call: Call, query: FilterValues) -> None:
    """Refuse a filter by what there is not; of an account that the caller does not see likewise.

    Raises:
        InvalidInputError: Names the first kind of channel, or account.
    """
    check_channels(query.channel, "query.channel")
    if not query.account:
        return
    channels, scope = await channels_by_slug(call), call.who.scope
    seen = [slug for slug, channel in channels.items() if scope.account(channel, slug)]
    for slug in query.account:
        if slug not in seen:
            allowed = ", ".join(sorted(seen)[:_NAMED])
            raise InvalidInputError(
                f"query.account: there is no account {slug!r}; allowed: {allowed or 'none'}.",
                field="query.account",
                allowed=allowed,
            )


async def _check_choice(call: Call, body: FirstChoice) -> None:
    if body.query is not None:
        await _check_values(call, body.query)
        if body.filter:
            allowed = "a filter or a query, not both"
            raise InvalidInputError(f"filter: name {allowed}.", field="filter", allowed=allowed)
    if body.filter and await _usable(call, body.filter) is None:
        allowed = "the id of a filter of yours, or of a shared one"
        raise InvalidInputError("filter: there is no such filter.", field="filter", allowed=allowed)


def _check_lead(call: Call, place: str) -> None:
    if place == SHARED and RANK[call.who.role] < RANK["lead"]:
        raise RefusalError(
            403, "forbidden", "Shared filters need the role lead or above.", needs="lead"
        )


def _replayed(call: Call, before: SavedFilter, made: SavedFilter) -> Reply:
    if before.digest != made.digest:
        key_conflict()
    headers = {**etag(before), "Idempotent-Replayed": "true"}
    return Reply(body=view(before, call.who.agent), headers=headers)

"""Folders of standard messages: who sees them is said once, for all that is in them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from libs.common.errors import InvalidInputError, UniqueConflictError
from libs.common.later import FOLDERS, STANDARD_MESSAGES, Folder
from libs.common.standard import Reader, is_on, name_key, sees
from libs.common.store.api import Page
from libs.common.words import query_words, words_of
from services.desk.api.folder_body import (
    FolderList,
    FolderPatch,
    FolderQuery,
    NewFolder,
    folder_view,
)
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.policy_store import etag
from services.desk.standard_read import MOST_FOLDERS, all_folders, folder_of, reader_of

# --- reading -----------------------------------------------------------------------------------


async def folders(call: Call) -> Reply:
    """List the folders that the caller sees, in order (B40)."""
    query: FolderQuery = call.query
    _check_channels(call, (query.channel,) if query.channel else (), "channel")
    port, workspace = call.desk.store.port, call.who.workspace
    reader = await reader_of(call)
    found = await all_folders(port, workspace)
    held = await port.group_count(STANDARD_MESSAGES, workspace, {}, by="folder")
    shown = [one for one in found.values() if sees(one, reader) and _matches(one, query, reader)]
    return Reply(
        body=FolderList(
            items=tuple(folder_view(one, held.get(one.id, 0), reader) for one in shown),
            none=held.get("", 0),
        )
    )


async def folder(call: Call) -> Reply:
    """Show a folder; `ETag` names its version.

    Raises:
        NotFoundError: No such folder in this workspace, or the caller does not see it.
    """
    return await _reply(call, await folder_of(call, call.params["id"]))


def _matches(folder: Folder, query: FolderQuery, reader: Reader) -> bool:
    user = reader.agent if query.user == "me" else query.user
    words = words_of((folder.name,))
    return (
        (not query.channel or is_on(folder, query.channel))
        and (not query.team or not folder.teams or query.team in folder.teams)
        and (not user or not folder.users or user in folder.users)
        and (not query.q.strip() or query_words(query.q).found_in(words))
    )


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make a folder; with an `Idempotency-Key` a repeat answers 200.

    Raises:
        InvalidInputError: A channel, team or user is not known.
        RefusalError: 409 `name_taken`, `idempotency_conflict` or `too_many`.
    """
    body: NewFolder = call.body
    port, workspace = call.desk.store.port, call.who.workspace
    id_, digest, now = new_id(call, "fld"), digest_of(body), call.desk.now()
    known = await port.get(FOLDERS, workspace, id_)
    if known is not None:
        return await _replayed(call, known, digest)
    held = await all_folders(port, workspace)
    if len(held) >= MOST_FOLDERS:
        raise RefusalError(409, "too_many", f"There may be {MOST_FOLDERS} folders.")
    last = max((one.place for one in held.values()), default=-1)
    made = Folder(
        id=id_,
        workspace=workspace,
        name=body.name.strip(),
        name_key=key_of(body.name),
        place=last + 1 if body.place is UNSET else body.place,
        created_at=now,
        updated_at=now,
        digest=digest,
    )
    made = await _scoped(call, made, _scope_of(body))
    return await _reply(call, await _written(call, made, "folder.create", None), status=201)


async def patch(call: Call) -> Reply:
    """Change a folder; who sees it is what its messages are seen by from then on.

    Raises:
        InvalidInputError: A channel, team or user is not known.
        NotFoundError: No such folder in this workspace.
        RefusalError: 409 `name_taken`; 412, `If-Match` names another version.
    """
    body: FolderPatch = call.body

    async def step(before: Folder) -> Folder:
        after = await _scoped(call, before, body)
        if body.name is not UNSET:
            name = body.name.strip()
            after = msgspec.structs.replace(after, name=name, name_key=key_of(name))
        if body.place is not UNSET:
            after = msgspec.structs.replace(after, place=body.place)
        if after == before:
            return before
        after.updated_at = call.desk.now()
        return await _written(call, after, "folder.patch", before)

    after = await retried(call, lambda: folder_of(call, call.params["id"]), step)
    return await _reply(call, after)


# --- parts -------------------------------------------------------------------------------------


def key_of(name: str) -> str:
    """Return what the name of a folder is compared by.

    Raises:
        InvalidInputError: Nothing of it can be seen.
    """
    key = name_key(name)
    if not key:
        raise InvalidInputError(
            "name: nothing of it can be seen.", field="name", allowed="a name that is not blank"
        )
    return key


def _scope_of(body: NewFolder) -> FolderPatch:
    return FolderPatch(channels=body.channels, teams=body.teams, users=body.users)


async def _scoped(call: Call, folder: Folder, body: FolderPatch) -> Folder:
    """Return *folder* with the scope that *body* names; what it has already is not asked about."""
    changes = {}
    for field in ("channels", "teams", "users"):
        given = getattr(body, field)
        if given is UNSET:
            continue
        wanted = tuple(sorted(set(given)))
        if wanted != getattr(folder, field):
            await _CHECKS[field](call, given)
            changes[field] = wanted
    return msgspec.structs.replace(folder, **changes) if changes else folder


async def _known_channels(call: Call, wanted: Sequence[str]) -> None:
    _check_channels(call, wanted, "channels")


def _check_channels(call: Call, wanted: Sequence[str], field: str) -> None:
    seen = call.who.scope.channels or tuple(sorted(call.desk.channels))
    _refuse_others(wanted, seen, field, ", ".join(seen))


async def _known_teams(call: Call, wanted: Sequence[str]) -> None:
    policy = await call.desk.store.policy(call.who.workspace)
    known = [team.id for team in policy.teams]
    _refuse_others(wanted, known, "teams", "ids of `GET /teams`")


async def _known_users(call: Call, wanted: Sequence[str]) -> None:
    found = await call.desk.store.agents(call.who.workspace, wanted) if wanted else {}
    known = [agent.id for agent in found.values() if not agent.disabled]
    _refuse_others(wanted, known, "users", "ids of `GET /agents` that are not disabled")


_CHECKS = {"channels": _known_channels, "teams": _known_teams, "users": _known_users}


def _refuse_others(wanted: Sequence[str], known: Sequence[str], field: str, allowed: str) -> None:
    for place, one in enumerate(wanted):
        if one not in known:
            named = field if field == "channel" else f"{field}.{place}"
            raise InvalidInputError(
                f"{named}: {one[:60]!r} is not known; allowed: {allowed}.",
                field=named,
                allowed=allowed,
            )


async def _written(call: Call, after: Folder, action: str, before: Folder | None) -> Folder:
    """Write the folder with its record.

    Raises:
        RefusalError: 409 `name_taken`.
        StaleRevisionError: Somebody changed it since it was read.
        UniqueConflictError: The same request makes it right now.
    """
    record = entry(call, action, f"folder:{after.id}", before, after)
    try:
        return await write(call, FOLDERS, after, record)
    except UniqueConflictError:
        page = Page(order="name", limit=1)
        where = {"name_key": after.name_key}
        found = await call.desk.store.port.find(FOLDERS, after.workspace, where, page)
        same = found[0] if found else after
        if same.id == after.id and before is None:  # the same request, at the same time
            raise
        raise RefusalError(
            409,
            "name_taken",
            "name: another folder has this name.",
            field="name",
            allowed="a name that no other folder has, whatever its case",
            id=same.id,
        ) from None


async def _replayed(call: Call, known: Folder, digest: str) -> Reply:
    if known.digest != digest:
        key_conflict()
    return await _reply(call, known, headers={"Idempotent-Replayed": "true"})


async def _reply(
    call: Call, found: Folder, *, status: int = 200, headers: dict[str, str] | None = None
) -> Reply:
    port = call.desk.store.port
    held = await port.count(STANDARD_MESSAGES, found.workspace, {"folder": found.id}, limit=10_000)
    body = folder_view(found, held, await reader_of(call))
    return Reply(body=body, status=status, headers={**etag(found), **(headers or {})})

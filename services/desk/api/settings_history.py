"""The versions of the switches: who set what when, and going back to any of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import AUDIT, AuditEntry, Settings, Workspace
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.termination import counted
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.inbox import Position
from services.desk.policy_store import Change, changed, etag
from services.desk.policy_whole import Whole

_BATCH = 200
_BATCHES = 5
"""Of the record that one request looks through for the changes of one switch."""
SWITCHES = Settings.__struct_fields__

Switch = Annotated[Plain, Meta(max_length=60)]


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page; with `switch`, such as `remove_branding`, the changes of that one."""

    switch: Switch = ""
    cursor: Cursor = ""
    limit: Limit = 50


class SwitchChange(msgspec.Struct, frozen=True, kw_only=True):
    """A switch before and after a change."""

    switch: str
    before: Any
    after: Any


class SettingsVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the switches; `id` names the version that it made."""

    id: str
    at: datetime
    actor: str
    action: str
    changes: tuple[SwitchChange, ...]


class SettingsHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. A page may have less than asked for, even nothing, and go on at `next`."""

    items: tuple[SettingsVersion, ...]
    next: str | None


class Restore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go back to.

    Attributes:
        version: An id of the history.
        moment: How the switches were after that change, or before it.
        switches: Only these, by name; none: all of them.
    """

    version: Annotated[Plain, Meta(min_length=1, max_length=100)]
    moment: Literal["after", "before"] = "after"
    switches: Annotated[tuple[Switch, ...], Meta(max_length=len(SWITCHES))] = ()


async def history(call: Call) -> Reply:
    """Show one page of the versions.

    Raises:
        InvalidInputError: There is no such switch.
    """
    query: HistoryQuery = call.query
    if query.switch:
        _check_switch("switch", query.switch)
    position = time_cursor(query.cursor)
    about = f"workspace:{call.who.workspace}"
    items: list[SettingsVersion] = []
    for _ in range(_BATCHES):
        found = await call.desk.store.audit(
            call.who.workspace, about=about, after=position, limit=_BATCH
        )
        for entry in found:
            position = (entry.at, entry.id)
            items += _versions(entry, query.switch)
            if len(items) == query.limit:
                return _page(items, position)
        if len(found) < _BATCH:
            return _page(items, None)
    return _page(items, position)


async def restore(call: Call) -> Reply:
    """Set switches as they were; that is a change like others, and can be taken back likewise.

    Raises:
        InvalidInputError: There is no such switch, or what they were does not hold any more.
        NotFoundError: No such version in this workspace.
        RefusalError: 409, that version cannot be read; 412, `If-Match` names another version.
    """
    body: Restore = call.body
    for place, name in enumerate(body.switches):
        _check_switch(f"switches.{place}", name)
    then = await _settings_then(call, body)
    names = body.switches or SWITCHES

    def edit(_whole: Whole, before: Workspace) -> Workspace:
        wanted = {name: getattr(then, name) for name in names}
        after = msgspec.structs.replace(before.settings, **wanted)
        settings = counted(before.settings, after, call.desk.now())
        return msgspec.structs.replace(before, settings=settings)

    done = await changed(
        call,
        Change(
            action="settings.restore",
            object=f"workspace:{call.who.workspace}",
            own="settings",
            pick=lambda whole: whole.workspace,
            edit=edit,
            shown=lambda workspace: workspace.settings,
        ),
    )
    return Reply(body=done.document.settings, headers=etag(done.document))


async def _settings_then(call: Call, body: Restore) -> Settings:
    entry = await call.desk.store.port.get(AUDIT, call.who.workspace, body.version)
    if entry is None or entry.object != f"workspace:{call.who.workspace}":
        raise NotFoundError("There is no such version of the settings.")
    then = _settings_of(entry, entry.before if body.moment == "before" else entry.after)
    if then is None:
        raise RefusalError(
            409, "version_unreadable", "The settings of that version cannot be read any more."
        )
    return then


def _settings_of(entry: AuditEntry, text: str) -> Settings | None:
    """Return the switches in a record: of a file's the whole workspace is noted."""
    try:
        if entry.action == "config.apply":
            return msgspec.json.decode(text, type=Workspace).settings if text else Settings()
        return msgspec.json.decode(text, type=Settings)
    except msgspec.DecodeError:  # written by another version of ours
        return None


def _versions(entry: AuditEntry, switch: str) -> Iterator[SettingsVersion]:
    """Yield the version that a record is of, where it says that a switch was changed."""
    changes = tuple(one for one in _changes(entry) if not switch or one.switch == switch)
    if changes:
        yield SettingsVersion(
            id=entry.id, at=entry.at, actor=entry.actor, action=entry.action, changes=changes
        )


def _changes(entry: AuditEntry) -> Iterator[SwitchChange]:
    before, after = _settings_of(entry, entry.before), _settings_of(entry, entry.after)
    if before is None or after is None:
        return
    for name in SWITCHES:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            shown = (msgspec.to_builtins(one) for one in (old, new))
            yield SwitchChange(switch=name, before=next(shown), after=next(shown))


def _page(items: list[SettingsVersion], last: Position | None) -> Reply:
    further = write_cursor(*last) if last is not None else None
    return Reply(body=SettingsHistory(items=tuple(items), next=further))


def _check_switch(field: str, name: str) -> None:
    if name not in SWITCHES:
        allowed = ", ".join(SWITCHES)
        raise InvalidInputError(
            f"{field}: {name!r} is no switch; allowed: {allowed}.", field=field, allowed=allowed
        )

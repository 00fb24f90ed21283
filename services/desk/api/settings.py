"""The workspace's switches: read, changed one by one, every change on record (A01)."""

from __future__ import annotations

import logging
import re
import uuid
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from libs.common.documents import AuditEntry, ChannelSettings, Settings, Workspace
from libs.common.errors import (
    BusUnavailableError,
    InvalidInputError,
    PermanentError,
    StaleRevisionError,
)
from libs.common.ids import derive_id
from libs.common.policies import publish_policy
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.route import Call, Principal, Reply
from services.desk.api.sessions import CHANNEL_NAMES

log = logging.getLogger(__name__)

TRIES = 5
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
T = TypeVar("T")


class ChannelPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel overrides; null takes the override back."""

    auto_hosting: bool | UnsetType | None = UNSET
    session_hosting: bool | UnsetType | None = UNSET


class SettingsPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches to change; what is not named stays. A channel set to null overrides nothing."""

    auto_hosting: bool | UnsetType = UNSET
    session_hosting: bool | UnsetType = UNSET
    end_session_confirm: bool | UnsetType = UNSET
    show_read: bool | UnsetType = UNSET
    channels: dict[str, ChannelPatch | None] | UnsetType = UNSET


async def settings(call: Call) -> Reply:
    """Show the switches; `ETag` names their version."""
    return _reply(await call.desk.store.workspace(call.who.workspace))


async def patch_settings(call: Call) -> Reply:
    """Change switches; other workspaces and the switches not named stay as they are.

    Raises:
        InvalidInputError: An unknown channel.
        RefusalError: 412, `If-Match` names another version; 409, too many changes at once.
    """
    patch: SettingsPatch = call.body
    _check_channels(patch)
    expected = _expected(call)
    for _ in range(TRIES):
        workspace = await call.desk.store.workspace(call.who.workspace)
        if expected is not None and workspace.rev != expected:
            raise RefusalError(412, "changed_meanwhile", "The settings have changed since.")
        after = patched(workspace.settings, patch)
        if after == workspace.settings:
            return _reply(workspace)
        changed = msgspec.structs.replace(workspace, settings=after)
        entry = _entry(call.who, call.desk.now(), workspace.settings, after)
        try:
            stored = await call.desk.store.change_workspace(changed, entry)
        except StaleRevisionError:
            continue
        await _publish(call, stored)
        return _reply(stored)
    raise RefusalError(409, "changed_meanwhile", "Others change the settings right now; try again.")


def patched(before: Settings, patch: SettingsPatch) -> Settings:
    """Return the settings after *patch*."""
    channels = dict(before.channels)
    for name, change in ({} if isinstance(patch.channels, UnsetType) else patch.channels).items():
        after = _patched_channel(channels.get(name, ChannelSettings()), change)
        channels.pop(name, None)
        if after != ChannelSettings():
            channels[name] = after
    return Settings(
        auto_hosting=_or(patch.auto_hosting, before.auto_hosting),
        session_hosting=_or(patch.session_hosting, before.session_hosting),
        end_session_confirm=_or(patch.end_session_confirm, before.end_session_confirm),
        show_read=_or(patch.show_read, before.show_read),
        channels=dict(sorted(channels.items())),
    )


def _patched_channel(before: ChannelSettings, change: ChannelPatch | None) -> ChannelSettings:
    if change is None:
        return ChannelSettings()
    return ChannelSettings(
        auto_hosting=_or(change.auto_hosting, before.auto_hosting),
        session_hosting=_or(change.session_hosting, before.session_hosting),
    )


def _or(value: T | UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, UnsetType) else value


def _check_channels(patch: SettingsPatch) -> None:
    for name in () if isinstance(patch.channels, UnsetType) else patch.channels:
        if name not in CHANNEL_NAMES:
            allowed = ", ".join(CHANNEL_NAMES)
            raise InvalidInputError(
                f"channels: {name[:50]!r} is not one of {allowed}.",
                field=f"channels.{name[:50]}",
                allowed=allowed,
            )


def _expected(call: Call) -> int | None:
    given = call.headers.get("if-match", "").strip()
    if given in {"", "*"}:
        return None
    found = _ETAG.fullmatch(given)
    if found is None:
        raise RefusalError(412, "changed_meanwhile", "If-Match takes the ETag of an answer.")
    return int(found[1])


async def _publish(call: Call, workspace: Workspace) -> None:
    """Tell ingest, router and notifier; a failure is healed by the reconciler soon after.

    Raises:
        RefusalError: 503: it is stored, and takes effect a little later.
    """
    try:
        await publish_policy(call.desk.store.port, call.desk.bus, workspace.id)
    except (BusUnavailableError, PermanentError) as error:
        log.warning("desk.settings_unpublished", extra={"code": error.code})
        raise unavailable(
            "The settings are stored and take effect within a minute.", retry_after_s=30
        ) from None


def _entry(who: Principal, at: datetime, before: Settings, after: Settings) -> AuditEntry:
    return AuditEntry(
        id=derive_id("aud", who.workspace, uuid.uuid4().hex),
        workspace=who.workspace,
        at=at,
        actor=f"agent:{who.agent}",
        action="settings.patch",
        object=f"workspace:{who.workspace}",
        before=msgspec.json.encode(before).decode(),
        after=msgspec.json.encode(after).decode(),
    )


def _reply(workspace: Workspace) -> Reply:
    return Reply(body=workspace.settings, headers={"ETag": f'"{workspace.rev}"'})

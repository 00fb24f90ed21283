"""The workspace's switches: read, changed one by one, every change on record (A01)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.documents import Settings, Workspace
from libs.common.errors import InvalidInputError
from libs.common.switches import (
    ChannelSettings,
    IdleRule,
    QuietHours,
    Speaker,
    Strategy,
    Termination,
)
from libs.common.termination import (
    FAREWELL_MOST,
    IDLE_LEAST_S,
    IDLE_MOST_S,
    PER_MINUTE_MOST,
    RULES_MOST,
    UNDO_MOST_S,
    counted,
)
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import CHANNEL_NAMES
from services.desk.api.settings_alerts import (
    AlertingPatch,
    OfflineVisitorsPatch,
    RemoveBrandingPatch,
    SurveyPatch,
    alerting,
    check_triggers,
    merged,
    offline_visitors,
    remove_branding,
    survey,
)
from services.desk.api.settings_plugin import PluginPatch, Plugins, plugin, plugins
from services.desk.policy_store import Change, changed, etag
from services.desk.policy_whole import Whole

DAY_S = 24 * 3600
T = TypeVar("T")

Phrase = Annotated[Plain, Meta(min_length=1, max_length=100)]


class ChannelPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel or an account overrides; null takes the override back."""

    auto_hosting: bool | UnsetType | None = UNSET
    auto_assign: bool | UnsetType | None = UNSET
    session_hosting: bool | UnsetType | None = UNSET
    auto_termination: bool | UnsetType | None = UNSET


Overrides = dict[str, ChannelPatch | None]


class IdleRuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where, and after how many seconds without a message, a session ends; see `IdleRule`.

    Attributes:
        channels: None of them: all.
        last: Who must have spoken last.
        farewell: What the visitor is told; empty: nothing.
    """

    channels: Annotated[tuple[Plain, ...], Meta(max_length=50)] = ()
    lists: tuple[Literal["bot_hosted", "unassigned", "assigned"], ...] = (
        "bot_hosted",
        "unassigned",
    )
    last: tuple[Speaker, ...] = IdleRule().last
    idle_s: Annotated[int, Meta(ge=IDLE_LEAST_S, le=IDLE_MOST_S)] = IdleRule().idle_s
    farewell: Annotated[Plain, Meta(max_length=FAREWELL_MOST)] = ""


class TerminationPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sessions end by themselves; what is not named stays.

    Attributes:
        rules: All of them; the first that fits a session counts.
        per_minute: Most sessions that end so in a minute.
        undo_s: How long such an end can be undone.
    """

    rules: Annotated[tuple[IdleRuleBody, ...], Meta(max_length=RULES_MOST)] | UnsetType = UNSET
    per_minute: Annotated[int, Meta(ge=1, le=PER_MINUTE_MOST)] | UnsetType = UNSET
    undo_s: Annotated[int, Meta(ge=0, le=UNDO_MOST_S)] | UnsetType = UNSET


Clock = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""A time of the day, `HH:MM`."""


class QuietHoursBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which nothing that was scheduled goes out; `end` may be before `start`."""

    start: Clock
    end: Clock


class SettingsPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches to change; what is not named stays.

    Attributes:
        strategy_returning: null: the same as `strategy`.
        removed_for_s: Up to 30 days.
        calendar: Id of the workspace's hours; empty: always open.
        handoff_words: All of them, at most 100.
        silent_owner_s: Up to 30 days; 0: never.
        termination: What `auto_termination` does.
        zone: The workspace's time zone, an IANA name.
        quiet_hours: null: what was scheduled goes out at any time.
        alerts: How agents are alerted.
        offline_visitors: How who has left the web chat gets the reply.
        remove_branding: Where our name is not shown.
        survey: What visitors are asked once they were helped.
        plugin: The web chat's window on a customer's pages.
        plugins: The same of an account by slug, on its own; null: as `plugin` again.
        channels, accounts: What a channel, or an account by slug, overrides; null: nothing.
    """

    auto_hosting: bool | UnsetType = UNSET
    auto_assign: bool | UnsetType = UNSET
    session_hosting: bool | UnsetType = UNSET
    auto_termination: bool | UnsetType = UNSET
    end_session_confirm: bool | UnsetType = UNSET
    show_read: bool | UnsetType = UNSET
    strategy: Strategy | UnsetType = UNSET
    strategy_returning: Strategy | UnsetType | None = UNSET
    reopen: Literal["owner", "queue", "bot"] | UnsetType = UNSET
    removed_for_s: Annotated[int, Meta(ge=0, le=30 * DAY_S)] | UnsetType = UNSET
    calendar: Annotated[Plain, Meta(max_length=48)] | UnsetType = UNSET
    handoff_words: Annotated[tuple[Phrase, ...], Meta(max_length=100)] | UnsetType = UNSET
    silent_owner_s: Annotated[int, Meta(ge=0, le=30 * DAY_S)] | UnsetType = UNSET
    silent_owner: Literal["remind", "reassign", "queue", "alert_lead"] | UnsetType = UNSET
    bot_messages: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    bot_deadline_s: Annotated[int, Meta(ge=1, le=3600)] | UnsetType = UNSET
    termination: TerminationPatch | UnsetType = UNSET
    zone: Annotated[Plain, Meta(min_length=1, max_length=60)] | UnsetType = UNSET
    quiet_hours: QuietHoursBody | UnsetType | None = UNSET
    alerts: AlertingPatch | UnsetType = UNSET
    offline_visitors: OfflineVisitorsPatch | UnsetType = UNSET
    remove_branding: RemoveBrandingPatch | UnsetType = UNSET
    survey: SurveyPatch | UnsetType = UNSET
    plugin: PluginPatch | UnsetType = UNSET
    plugins: Plugins | UnsetType = UNSET
    channels: Overrides | UnsetType = UNSET
    accounts: Overrides | UnsetType = UNSET


_NESTED = frozenset(
    {
        "channels",
        "accounts",
        "termination",
        "quiet_hours",
        "alerts",
        "offline_visitors",
        "remove_branding",
        "survey",
        "plugin",
        "plugins",
    }
)


async def settings(call: Call) -> Reply:
    """Show the switches; `ETag` names their version."""
    return _reply(await call.desk.store.workspace(call.who.workspace))


async def patch_settings(call: Call) -> Reply:
    """Change switches; other workspaces and the switches not named stay as they are.

    Raises:
        InvalidInputError: An unknown channel, account, calendar or trigger.
        RefusalError: 412, `If-Match` names another version; 409, too many changes at once.
    """
    patch: SettingsPatch = call.body
    _check_channels(patch)
    check_triggers(patch.alerts)

    def edit(whole: Whole, before: Workspace) -> Workspace:
        _check_accounts(patch, whole, before.settings)
        after = counted(before.settings, patched(before.settings, patch), call.desk.now())
        return msgspec.structs.replace(before, settings=after)

    done = await changed(
        call,
        Change(
            action="settings.patch",
            object=f"workspace:{call.who.workspace}",
            own="settings",
            pick=lambda whole: whole.workspace,
            edit=edit,
            shown=lambda workspace: workspace.settings,
        ),
    )
    return _reply(done.document)


def patched(before: Settings, patch: SettingsPatch) -> Settings:
    """Return the settings after *patch*; since when idle time counts is not for it to say."""
    plain: dict[str, Any] = {
        name: value
        for name in patch.__struct_fields__
        if name not in _NESTED and (value := getattr(patch, name)) is not UNSET
    }
    return msgspec.structs.replace(
        before,
        **plain,
        termination=_termination(before, patch.termination),
        quiet_hours=_quiet_hours(before, patch.quiet_hours),
        alerts=alerting(before, patch.alerts),
        offline_visitors=offline_visitors(before, patch.offline_visitors),
        remove_branding=remove_branding(before, patch.remove_branding),
        survey=survey(before, patch.survey),
        plugin=plugin(before, patch.plugin),
        plugins=plugins(before, patch.plugins),
        channels=_overridden(before.channels, patch.channels),
        accounts=_overridden(before.accounts, patch.accounts),
    )


def _termination(before: Settings, patch: TerminationPatch | UnsetType) -> Termination:
    given = {} if isinstance(patch, UnsetType) else msgspec.structs.asdict(patch)
    set_now = {name: value for name, value in given.items() if value is not UNSET}
    if "rules" in set_now:
        rules = (IdleRule(**msgspec.structs.asdict(rule)) for rule in set_now["rules"])
        set_now["rules"] = tuple(rules)
    return msgspec.structs.replace(before.termination, **set_now)


def _quiet_hours(before: Settings, patch: QuietHoursBody | UnsetType | None) -> QuietHours | None:
    if isinstance(patch, UnsetType):
        return before.quiet_hours
    return None if patch is None else QuietHours(start=patch.start, end=patch.end)


def _overridden(
    before: Mapping[str, ChannelSettings], patch: Overrides | UnsetType
) -> dict[str, ChannelSettings]:
    found = dict(before)
    for name, change in _named(patch).items():
        after = _override(found.pop(name, ChannelSettings()), change)
        if after != ChannelSettings():
            found[name] = after
    return dict(sorted(found.items()))


def _override(before: ChannelSettings, change: ChannelPatch | None) -> ChannelSettings:
    if change is None:
        return ChannelSettings()
    return merged(before, change)


def _named(patch: Overrides | UnsetType) -> Overrides:
    return {} if isinstance(patch, UnsetType) else patch


def _check_channels(patch: SettingsPatch) -> None:
    for name in _named(patch.channels):
        if name not in CHANNEL_NAMES:
            raise _unknown("channels", name, ", ".join(CHANNEL_NAMES))


def _check_accounts(patch: SettingsPatch, whole: Whole, before: Settings) -> None:
    """Refuse accounts that are not there; the override of one that is gone can be taken back."""
    places = (
        ("accounts", patch.accounts, before.accounts),
        ("plugins", patch.plugins, before.plugins),
    )
    for place, given, there in places:
        for name in () if isinstance(given, UnsetType) else given:
            if name not in whole.accounts and name not in there:
                raise _unknown(place, name, "the slugs of connected accounts, see GET /accounts")


def _unknown(field: str, name: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field}: {name[:50]!r} is not one of {allowed}.",
        field=f"{field}.{name[:50]}",
        allowed=allowed,
    )


def _reply(workspace: Workspace) -> Reply:
    return Reply(body=workspace.settings, headers=etag(workspace))

"""How the caller wants to be alerted: what they chose, and what holds (A14, A18)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.alerts import DEFAULTS, PREFERENCES, SOUNDS, Preferences, methods_of
from libs.common.errors import (
    BusUnavailableError,
    StaleRevisionError,
    UniqueConflictError,
)
from libs.common.switches import Alerting, AlertMethod, AlertTrigger, QuietHours
from libs.common.wallclock import after_quiet
from services.desk.api.alert_checks import check, wrong
from services.desk.api.problem import unavailable
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.settings import QuietHoursBody
from services.desk.api.settings_alerts import TRIGGERS, Methods
from services.desk.audited import entry, retried, write
from services.desk.policy_store import etag
from services.desk.preferences import own, publish_preferences

log = logging.getLogger(__name__)

MOST_MINUTES = 7 * 24 * 60
Zone = Annotated[Plain, Meta(max_length=60)]
Volume = Annotated[int, Meta(ge=0, le=100)]
Absent = Literal["always", "if_nobody"]
LockScreen = Literal["generic", "contact", "excerpt"]
Chosen = Annotated[dict[str, Methods], Meta(max_length=len(TRIGGERS))]
Sounds = Annotated[dict[str, str], Meta(max_length=len(TRIGGERS))]
_METHODS: tuple[AlertMethod, ...] = get_args(AlertMethod)


class PreferencesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the caller wants to be alerted, whole: what is not named is as if never chosen.

    Attributes:
        triggers: Methods by trigger; none: not at all. Not those that the workspace has locked.
        sound: Of all alerts; `sounds`: by trigger, in its place.
        quiet_hours: No sound and no push, by the wall clock of `zone`; email waits for their end.
        zone: An IANA name; empty: the workspace's.
        absent: Whether, while not there, to be alerted of what others who are there can take.
        lock_screen: What a push may show of it.
    """

    triggers: Chosen = {}
    sound: str = "chime"
    sounds: Sounds = {}
    volume: Volume = 70
    quiet_hours: QuietHoursBody | None = None
    zone: Zone = ""
    absent: Absent = "if_nobody"
    lock_screen: LockScreen = "generic"


class PreferencesPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of it; a trigger that is null is as if never chosen."""

    triggers: dict[str, Methods | None] | UnsetType = UNSET
    sound: str | UnsetType = UNSET
    sounds: dict[str, str | None] | UnsetType = UNSET
    volume: Volume | UnsetType = UNSET
    quiet_hours: QuietHoursBody | UnsetType | None = UNSET
    zone: Zone | UnsetType = UNSET
    absent: Absent | UnsetType = UNSET
    lock_screen: LockScreen | UnsetType = UNSET


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """How the caller is alerted of a trigger.

    Attributes:
        source: They `chose` it themselves, the `workspace` has set it, or it is our `default`.
        locked: The workspace has it so for all, and nobody chooses.
        sound: The one that is played, unless muted.
    """

    trigger: AlertTrigger
    methods: tuple[AlertMethod, ...]
    source: Literal["chosen", "workspace", "default"]
    locked: bool
    sound: str


class Available(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to choose from."""

    sounds: tuple[str, ...] = SOUNDS
    methods: tuple[AlertMethod, ...] = _METHODS
    triggers: tuple[AlertTrigger, ...] = TRIGGERS


class PreferencesShown(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller chose, and what holds; `muted` is whether it is so now.

    `triggers` and `sounds` are what was chosen, also where a lock keeps it from holding.
    """

    triggers: dict[AlertTrigger, tuple[AlertMethod, ...]]
    sound: str
    sounds: dict[AlertTrigger, str]
    volume: int
    muted: bool
    muted_until: datetime | None
    quiet_hours: QuietHours | None
    zone: str
    absent: Absent
    lock_screen: LockScreen
    effective: tuple[Effective, ...]
    available: Available = Available()


class Mute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long: so many minutes, or until then; neither: until it is ended."""

    minutes: Annotated[int, Meta(ge=1, le=MOST_MINUTES)] | None = None
    until: datetime | None = None


async def preferences(call: Call) -> Reply:
    """Show how the caller is alerted; `ETag` names the version."""
    return await _reply(call, await read_own(call))


async def put_preferences(call: Call) -> Reply:
    """Set how the caller wants to be alerted; muting stays as it is.

    Raises:
        InvalidInputError: What is wrong, by field; a trigger that is locked.
        RefusalError: 412, `If-Match` names another version; 409, too many changes at once.
    """
    body: PreferencesBody = call.body
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    return await _change(call, "alerts.preferences", lambda before: _given(before, given))


async def patch_preferences(call: Call) -> Reply:
    """Change how the caller wants to be alerted; what is not named stays.

    Raises:
        InvalidInputError, RefusalError: As `put_preferences`.
    """
    patch: PreferencesPatch = call.body
    given: dict[str, Any] = {
        name: value
        for name in patch.__struct_fields__
        if (value := getattr(patch, name)) is not UNSET
    }

    def edit(before: Preferences) -> Preferences:
        merged: dict[str, Any] = {
            name: _merged(getattr(before, name), given[name])
            for name in ("triggers", "sounds")
            if name in given
        }
        return _given(before, {**given, **merged})

    return await _change(call, "alerts.preferences", edit)


async def mute(call: Call) -> Reply:
    """Have no sound and no push, for a time or until it is ended.

    Raises:
        InvalidInputError: Both were given, or a time that is past or more than a week away.
    """
    body: Mute = call.body or Mute()
    until = _until(body, call.desk.now())
    return await _change(
        call,
        "alerts.mute",
        lambda before: msgspec.structs.replace(before, muted=True, muted_until=until),
    )


async def unmute(call: Call) -> Reply:
    """Have sound and push again."""
    return await _change(
        call,
        "alerts.unmute",
        lambda before: msgspec.structs.replace(before, muted=False, muted_until=None),
    )


def is_muted(preferences: Preferences, now: datetime) -> bool:
    """Tell whether the agent wants no sound now."""
    return preferences.muted and (preferences.muted_until is None or now < preferences.muted_until)


def sound_of(preferences: Preferences, trigger: AlertTrigger) -> str:
    """Return the sound that the agent chose for *trigger*."""
    return preferences.sounds.get(trigger, preferences.sound)


async def sound_now(call: Call, found: Preferences, trigger: AlertTrigger) -> str | None:
    """Return the sound that an alert of *trigger* has for the agent now; None: none."""
    sound = sound_of(found, trigger)
    return None if sound == "none" or await wants_quiet(call, found) else sound


async def wants_quiet(call: Call, found: Preferences) -> bool:
    """Tell whether the agent wants no sound and no push now."""
    settings = (await call.desk.store.workspace(call.who.workspace)).settings
    now = call.desk.now()
    rests = after_quiet(now, found.zone or settings.zone, found.quiet_hours) != now
    return rests or is_muted(found, now)


async def read_own(call: Call) -> Preferences:
    """Return the caller's preferences."""
    who = call.who
    found = await call.desk.store.port.get(PREFERENCES, who.workspace, who.agent)
    return own(found, who.workspace, who.agent)


# --- inside --------------------------------------------------------------------------------------


async def _settings(call: Call) -> Alerting:
    return (await call.desk.store.workspace(call.who.workspace)).settings.alerts


async def _change(call: Call, action: str, edit: Callable[[Preferences], Preferences]) -> Reply:
    settings = await _settings(call)

    async def step(before: Preferences) -> Preferences:
        after = edit(before)
        check(before, after, settings)
        if after == before:
            return before
        record = entry(call, action, f"agent:{call.who.agent}", _plain(before), _plain(after))
        try:
            return await write(call, PREFERENCES, after, record)
        except UniqueConflictError as error:  # the first one, at the same time as another
            raise StaleRevisionError("the preferences were made by another request") from error

    after = await retried(call, lambda: read_own(call), step)
    await _publish(call)
    return await _reply(call, after)


async def _publish(call: Call) -> None:
    try:
        await publish_preferences(
            call.desk.store.port, call.desk.bus, call.who.workspace, call.who.agent
        )
    except BusUnavailableError as error:
        log.warning("desk.preferences_unpublished", extra={"code": error.code})
        raise unavailable(
            "The change is stored and takes effect within a minute.", retry_after_s=30
        ) from None


def _given(before: Preferences, given: Mapping[str, Any]) -> Preferences:
    values = dict(given)
    quiet = values.get("quiet_hours")
    if quiet is not None:
        values["quiet_hours"] = QuietHours(start=quiet.start, end=quiet.end)
    return msgspec.structs.replace(before, **values)


def _merged(before: Mapping[Any, Any], changes: Mapping[str, Any]) -> dict[Any, Any]:
    after = {**before, **changes}
    return {name: value for name, value in after.items() if value is not None}


def _until(body: Mute, now: datetime) -> datetime | None:
    if body.minutes is not None and body.until is not None:
        raise wrong("until", "minutes are given, too", "one of minutes and until, or neither")
    if body.minutes is not None:
        return now + timedelta(minutes=body.minutes)
    if body.until is None:
        return None
    latest = now + timedelta(minutes=MOST_MINUTES)
    if body.until.tzinfo is None:
        raise wrong("until", "it has no offset", _UNTIL)
    if body.until <= now:
        raise wrong("until", "it does not lie ahead", _UNTIL)
    if body.until > latest:
        raise wrong("until", "it lies more than 7 days ahead", _UNTIL)
    return body.until.astimezone(UTC)


_UNTIL = "a time with its offset, up to 7 days ahead; without a time it is until it is ended"


async def _reply(call: Call, found: Preferences) -> Reply:
    settings, muted = await _settings(call), is_muted(found, call.desk.now())
    shown = PreferencesShown(
        triggers=found.triggers,
        sound=found.sound,
        sounds=found.sounds,
        volume=found.volume,
        muted=muted,
        muted_until=found.muted_until if muted else None,
        quiet_hours=found.quiet_hours,
        zone=found.zone,
        absent=found.absent,
        lock_screen=found.lock_screen,
        effective=tuple(_effective(settings, found, trigger) for trigger in TRIGGERS),
    )
    return Reply(body=shown, headers=etag(found))


def _effective(settings: Alerting, found: Preferences, trigger: AlertTrigger) -> Effective:
    default = settings.triggers.get(trigger) or DEFAULTS[trigger]
    source: Literal["chosen", "workspace", "default"] = "default"
    if trigger in settings.triggers:
        source = "workspace"
    if trigger in found.triggers and not default.locked:
        source = "chosen"
    return Effective(
        trigger=trigger,
        methods=methods_of(settings, found, trigger),
        source=source,
        locked=default.locked,
        sound=sound_of(found, trigger),
    )


def _plain(found: Preferences) -> dict[str, Any]:
    """Return what the record says of them."""
    shown: dict[str, Any] = msgspec.to_builtins(found)
    return {name: value for name, value in shown.items() if name not in {"id", "workspace", "rev"}}

"""Alerts, visitors who have left, our name, the survey: their part of `PATCH /settings`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.alerts import DEFAULTS
from libs.common.errors import InvalidInputError
from libs.common.rules.check_alerts import (
    EMAIL_S,
    GONE_S,
    QUIET_S,
    RUNG_S,
    RUNGS_MOST,
    STALE_S,
    STORM,
    WINDOW_S,
)
from libs.common.surveys import TEXT_MOST, WITHIN_LEAST_S, WITHIN_MOST_S
from libs.common.switches import (
    AlertDefault,
    Alerting,
    AlertMethod,
    AlertTrigger,
    OfflineVisitors,
    RemoveBranding,
    Rung,
    Settings,
    Survey,
)
from services.desk.api.read import Plain

S = TypeVar("S", bound=msgspec.Struct)

TRIGGERS: tuple[AlertTrigger, ...] = get_args(AlertTrigger)
Methods = Annotated[tuple[AlertMethod, ...], Meta(max_length=3)]
"""How an agent is alerted; none: not at all."""

_Email = Annotated[int, Meta(ge=EMAIL_S[0], le=EMAIL_S[1])]


class AlertDefaultPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How agents are alerted of a trigger who chose nothing; `locked`: all agents, always so."""

    methods: Methods | UnsetType = UNSET
    locked: bool | UnsetType = UNSET


Triggers = dict[str, AlertDefaultPatch | None]


class RungBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rung of the escalation ladder, see `Rung`."""

    after_s: Annotated[int, Meta(ge=RUNG_S[0], le=RUNG_S[1])]
    to: Literal["same", "team", "leads", "everyone"] = "same"
    methods: Methods = ()


class AlertingPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How agents are alerted; what is not named stays.

    Attributes:
        triggers: By trigger; null: as it is where nothing was set.
        email_within_s: Not less than `email_after_s`.
        escalation: All rungs, by rising `after_s`.
    """

    triggers: Triggers | UnsetType = UNSET
    window_s: Annotated[int, Meta(ge=WINDOW_S[0], le=WINDOW_S[1])] | UnsetType = UNSET
    email_after_s: _Email | UnsetType = UNSET
    email_within_s: _Email | UnsetType = UNSET
    escalation: Annotated[tuple[RungBody, ...], Meta(max_length=RUNGS_MOST)] | UnsetType = UNSET
    storm_per_minute: Annotated[int, Meta(ge=STORM[0], le=STORM[1])] | UnsetType = UNSET
    stale_s: Annotated[int, Meta(ge=STALE_S[0], le=STALE_S[1])] | UnsetType = UNSET


class OfflineVisitorsPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How who has left the web chat gets the reply; what is not named stays."""

    method: Literal["email", "plugin"] | UnsetType = UNSET
    after_s: Annotated[int, Meta(ge=GONE_S[0], le=GONE_S[1])] | UnsetType = UNSET
    quiet_s: Annotated[int, Meta(ge=QUIET_S[0], le=QUIET_S[1])] | UnsetType = UNSET


class RemoveBrandingPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where our name is not shown; what is not named stays."""

    widget: bool | UnsetType = UNSET
    email: bool | UnsetType = UNSET


class SurveyPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether, and what, visitors are asked once they were helped; what is not named stays.

    Attributes:
        channels: Kinds of channel on which they are asked; none: nobody is.
        thanks: Empty: nothing is said.
        within_s: So long an answer is taken for one.
    """

    channels: Annotated[tuple[Plain, ...], Meta(max_length=50)] | UnsetType = UNSET
    question: Annotated[Plain, Meta(min_length=1, max_length=TEXT_MOST)] | UnsetType = UNSET
    thanks: Annotated[Plain, Meta(max_length=TEXT_MOST)] | UnsetType = UNSET
    within_s: Annotated[int, Meta(ge=WITHIN_LEAST_S, le=WITHIN_MOST_S)] | UnsetType = UNSET


def alerting(before: Settings, patch: AlertingPatch | UnsetType) -> Alerting:
    """Return how agents are alerted after *patch*."""
    if isinstance(patch, UnsetType):
        return before.alerts
    after = merged(before.alerts, patch, omit=("triggers", "escalation"))
    if not isinstance(patch.triggers, UnsetType):
        after = msgspec.structs.replace(after, triggers=_triggers(before.alerts, patch.triggers))
    if not isinstance(patch.escalation, UnsetType):
        rungs = tuple(Rung(**msgspec.structs.asdict(rung)) for rung in patch.escalation)
        after = msgspec.structs.replace(after, escalation=rungs)
    return after


def offline_visitors(before: Settings, patch: OfflineVisitorsPatch | UnsetType) -> OfflineVisitors:
    """Return how visitors who left get the reply after *patch*."""
    return merged(before.offline_visitors, patch)


def remove_branding(before: Settings, patch: RemoveBrandingPatch | UnsetType) -> RemoveBranding:
    """Return where our name is not shown after *patch*."""
    return merged(before.remove_branding, patch)


def survey(before: Settings, patch: SurveyPatch | UnsetType) -> Survey:
    """Return what visitors are asked after *patch*."""
    after = merged(before.survey, patch)
    return msgspec.structs.replace(after, channels=tuple(dict.fromkeys(after.channels)))


def merged(before: S, patch: msgspec.Struct | UnsetType, omit: tuple[str, ...] = ()) -> S:
    """Return *before* with what *patch* sets, but for the fields *omit*."""
    given: dict[str, Any] = {} if isinstance(patch, UnsetType) else msgspec.structs.asdict(patch)
    set_now = {k: v for k, v in given.items() if v is not UNSET and k not in omit}
    return msgspec.structs.replace(before, **set_now)


def check_triggers(patch: AlertingPatch | UnsetType) -> None:
    """Refuse triggers that are none.

    Raises:
        InvalidInputError: Names the trigger, and all that there are.
    """
    named = () if isinstance(patch, UnsetType) else patch.triggers
    for name in () if isinstance(named, UnsetType) else named:
        if name not in TRIGGERS:
            raise unknown_trigger("alerts.triggers", name)


def unknown_trigger(place: str, name: str) -> InvalidInputError:
    """Return the refusal of a trigger that is none."""
    allowed = ", ".join(TRIGGERS)
    return InvalidInputError(
        f"{place}: {name[:50]!r} is not one of {allowed}.",
        field=f"{place}.{name[:50]}",
        allowed=allowed,
    )


def _triggers(before: Alerting, patch: Triggers) -> dict[AlertTrigger, AlertDefault]:
    found = dict(before.triggers)
    for name in TRIGGERS:
        if name not in patch:
            continue
        own, change = found.pop(name, DEFAULTS[name]), patch[name]
        if change is not None:
            found[name] = merged(own, change)
    return dict(sorted(found.items()))

"""Routes: who is there, and what calls for attention, as it happens."""

from __future__ import annotations

from services.desk.api import alert_preferences as preferences
from services.desk.api import alerts, presence
from services.desk.api.route import Route
from services.desk.live_alerts import AlertEvent

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CONFLICTS = {
    409: "changed_meanwhile: too many changes at once",
    412: "changed_meanwhile: If-Match names another version",
}

ROUTES: tuple[Route, ...] = (
    Route(
        name="presence",
        method="GET",
        path="/presence",
        handler=presence.presence,
        role="read_only",
        summary="Who is there: online, away or offline",
        answers={200: presence.PresenceList},
    ),
    Route(
        name="presence_say",
        method="PUT",
        path="/presence",
        handler=presence.say,
        role="agent",
        summary="Say how you are there; it lapses after a minute without alerts being read",
        body=presence.PresenceSaid,
        answers={200: presence.PresenceNow},
    ),
    Route(
        name="alerts_stream",
        method="GET",
        path="/alerts/stream",
        handler=alerts.stream,
        role="read_only",
        summary="Alerts as server-sent events, see docs/alerts.md; who has it open is online",
        answers={200: AlertEvent},
        streams=True,
        problems={429: "too_many_streams: too many are open, of this agent or at all"},
        headers={"Last-Event-ID": "The last id that was seen: what came since is told first"},
    ),
    Route(
        name="alert_preferences",
        method="GET",
        path="/alerts/preferences",
        handler=preferences.preferences,
        role="read_only",
        summary="How you are alerted: what you chose, and what holds; ETag names the version",
        answers={200: preferences.PreferencesShown},
    ),
    Route(
        name="put_alert_preferences",
        method="PUT",
        path="/alerts/preferences",
        handler=preferences.put_preferences,
        role="read_only",
        summary="Set how you want to be alerted; what is not named is as if never chosen",
        body=preferences.PreferencesBody,
        answers={200: preferences.PreferencesShown},
        headers=_IF_MATCH,
        problems=_CONFLICTS,
    ),
    Route(
        name="patch_alert_preferences",
        method="PATCH",
        path="/alerts/preferences",
        handler=preferences.patch_preferences,
        role="read_only",
        summary="Change how you want to be alerted; what is not named stays",
        body=preferences.PreferencesPatch,
        answers={200: preferences.PreferencesShown},
        headers=_IF_MATCH,
        problems=_CONFLICTS,
    ),
    Route(
        name="alerts_mute",
        method="POST",
        path="/alerts/mute",
        handler=preferences.mute,
        role="read_only",
        summary="Have no sound and no push, for a time or until it is ended",
        body=preferences.Mute,
        body_optional=True,
        answers={200: preferences.PreferencesShown},
        problems={409: _CONFLICTS[409]},
    ),
    Route(
        name="alerts_unmute",
        method="DELETE",
        path="/alerts/mute",
        handler=preferences.unmute,
        role="read_only",
        summary="Have sound and push again",
        answers={200: preferences.PreferencesShown},
        problems={409: _CONFLICTS[409]},
    ),
    Route(
        name="alerts_test",
        method="POST",
        path="/alerts/test",
        handler=alerts.test,
        role="read_only",
        summary="Alert yourself of nothing, to see and hear how it is; one in ten seconds",
        body=alerts.AlertTest,
        answers={202: alerts.AlertTested},
    ),
)

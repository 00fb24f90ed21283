"""Routes: who is there, and what calls for attention, as it happens."""

from __future__ import annotations

from services.desk.api import alerts, presence
from services.desk.api.route import Route
from services.desk.live_alerts import AlertEvent

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
        summary="Alerts as server-sent events; who has it open is online",
        answers={200: AlertEvent},
        streams=True,
        problems={429: "too_many_streams: too many are open, of this agent or at all"},
        headers={"Last-Event-ID": "The last id that was seen: what came since is told first"},
    ),
)

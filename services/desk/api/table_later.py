"""Routes: broadcasts, a message for many."""

from __future__ import annotations

from services.desk.api import broadcast_acts, broadcast_body, broadcasts
from services.desk.api.act import Nothing
from services.desk.api.route import Handler, Route

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_KEY = {"Idempotency-Key": "A repeat with the same key makes nothing new"}
_BUSY = "changed_meanwhile: others change it all the time"
_STATE = "wrong_state: `facts.state` is its state, `facts.allowed` names those that could"
_STALE = "changed_meanwhile: If-Match names another version"
_CONFLICT = "idempotency_conflict: the key made another"


def _act(word: str, handler: Handler, summary: str) -> Route:
    return Route(
        name=f"{word}_broadcast",
        method="POST",
        path=f"/broadcasts/{{id}}/{word}",
        handler=handler,
        role="lead",
        summary=summary,
        body=Nothing,
        body_optional=True,
        answers={200: broadcast_body.BroadcastView},
        headers=_IF_MATCH,
        problems={409: f"{_STATE}; {_BUSY}", 412: _STALE},
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="broadcasts",
        method="GET",
        path="/broadcasts",
        handler=broadcasts.broadcasts,
        role="lead",
        summary="Broadcasts, newest first",
        query=broadcast_body.BroadcastQuery,
        answers={200: broadcast_body.BroadcastList},
    ),
    Route(
        name="create_broadcast",
        method="POST",
        path="/broadcasts",
        handler=broadcasts.create,
        role="lead",
        summary="Draft a broadcast, or start it at once or at a time",
        body=broadcast_body.NewBroadcast,
        answers={201: broadcast_body.BroadcastView, 200: broadcast_body.BroadcastView},
        headers=_KEY,
        problems={
            409: _CONFLICT,
            413: "too_large: a channel takes no such file",
            415: "type_not_allowed: a channel takes no such file",
        },
    ),
    Route(
        name="count_audience",
        method="POST",
        path="/broadcasts/count",
        handler=broadcasts.count,
        role="lead",
        summary="Whom an audience has, and how many can be written to now; sends nothing",
        body=broadcast_body.CountBody,
        answers={200: broadcast_body.AudienceCount},
    ),
    Route(
        name="broadcast",
        method="GET",
        path="/broadcasts/{id}",
        handler=broadcasts.broadcast,
        role="lead",
        summary="One broadcast, with how many recipients are in each state",
        answers={200: broadcast_body.BroadcastView},
    ),
    Route(
        name="patch_broadcast",
        method="PATCH",
        path="/broadcasts/{id}",
        handler=broadcasts.patch,
        role="lead",
        summary="Change a broadcast that is a draft, waits for its time, or is paused",
        body=broadcast_body.BroadcastPatch,
        answers={200: broadcast_body.BroadcastView},
        headers=_IF_MATCH,
        problems={
            409: f"{_STATE}; recipients_chosen: `facts.field` is what they were chosen by; {_BUSY}",
            412: _STALE,
            413: "too_large: a channel takes no such file",
            415: "type_not_allowed: a channel takes no such file",
        },
    ),
    Route(
        name="delete_broadcast",
        method="DELETE",
        path="/broadcasts/{id}",
        handler=broadcasts.delete,
        role="lead",
        summary="Delete a draft",
        answers={204: None},
        headers=_IF_MATCH,
        problems={409: f"{_STATE}; {_BUSY}", 412: _STALE},
    ),
    _act("start", broadcast_acts.start, "Start a draft: at once, or at its time"),
    _act("pause", broadcast_acts.pause, "Pause: `under_way` go out still, no more than these"),
    _act("resume", broadcast_acts.resume, "Go on where it was paused"),
    _act("cancel", broadcast_acts.cancel, "Cancel: who was not written to will not be"),
    Route(
        name="copy_broadcast",
        method="POST",
        path="/broadcasts/{id}/copy",
        handler=broadcast_acts.copy,
        role="lead",
        summary="Make a draft of the same content and audience",
        body=broadcast_body.CopyBody,
        body_optional=True,
        answers={201: broadcast_body.BroadcastView, 200: broadcast_body.BroadcastView},
        headers=_KEY,
        problems={409: _CONFLICT},
    ),
    Route(
        name="recipients",
        method="GET",
        path="/broadcasts/{id}/recipients",
        handler=broadcasts.recipients,
        role="lead",
        summary="Recipients, and what became of each one's message",
        query=broadcast_body.RecipientQuery,
        answers={200: broadcast_body.RecipientList},
    ),
)

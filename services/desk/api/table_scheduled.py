"""Routes: messages that are scheduled."""

from __future__ import annotations

from services.desk.api import act, scheduled, scheduled_body
from services.desk.api.route import Route

_KEY = {"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"}
_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CHANGED = {
    409: "changed_meanwhile: too many changes at once",
    412: "changed_meanwhile: If-Match names another version",
}

_FILES = {
    413: "The body is larger than 256 KiB, or too_large: the channel takes no such file",
    415: "The body is not application/json, or type_not_allowed: the channel takes no such file",
}
_NEVER = (
    "A field is wrong; blocked, account_unavailable, template_unknown, template_values: it could "
    "never go out; window_closes_first: say `when_closed`, see `facts.choices`"
)
_OVER = (
    "being_sent, already_sent: too late; already_over: it is cancelled, skipped or has failed, "
    "see `facts.state`"
)

ROUTES: tuple[Route, ...] = (
    Route(
        name="scheduled_messages",
        method="GET",
        path="/scheduled-messages",
        handler=scheduled.scheduled_messages,
        role="read_only",
        summary="Scheduled messages by contact, session, author and state",
        query=scheduled_body.ScheduledQuery,
        answers={200: scheduled_body.ScheduledList},
    ),
    Route(
        name="schedule",
        method="POST",
        path="/scheduled-messages",
        handler=scheduled.create,
        role="agent",
        summary="Schedule a message",
        body=scheduled_body.NewScheduled,
        needs_key=True,
        answers={201: scheduled_body.ScheduledView, 200: scheduled_body.ScheduledView},
        problems={
            409: "idempotency_conflict: the key was used for another one; too_many: 200 are "
            "pending for the contact, or 20,000 in the workspace",
            422: _NEVER,
            **_FILES,
        },
    ),
    Route(
        name="scheduled_message",
        method="GET",
        path="/scheduled-messages/{id}",
        handler=scheduled.scheduled_message,
        role="read_only",
        summary="One scheduled message; ETag names its version",
        answers={200: scheduled_body.ScheduledView},
    ),
    Route(
        name="patch_scheduled_message",
        method="PATCH",
        path="/scheduled-messages/{id}",
        handler=scheduled.patch,
        role="agent",
        summary="Change a scheduled message that is pending",
        body=scheduled_body.ScheduledPatch,
        answers={200: scheduled_body.ScheduledView},
        headers=_MATCH,
        problems={
            409: f"{_OVER}; changed_meanwhile: too many changes at once",
            412: _CHANGED[412],
            422: _NEVER,
            **_FILES,
        },
    ),
    Route(
        name="cancel_scheduled_message",
        method="POST",
        path="/scheduled-messages/{id}/cancel",
        handler=scheduled.cancel,
        role="agent",
        summary="Cancel a scheduled message that is pending; acknowledged, it holds",
        body=act.Nothing,
        body_optional=True,
        answers={200: scheduled_body.ScheduledView},
        headers=_MATCH,
        problems={409: f"{_OVER}; changed_meanwhile", 412: _CHANGED[412]},
    ),
)

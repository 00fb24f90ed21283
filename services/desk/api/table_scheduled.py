"""Routes: messages that are scheduled, and standard messages."""

from __future__ import annotations

from services.desk.api import standard_messages
from services.desk.api.route import Route

_KEY = {"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"}
_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CHANGED = {
    409: "changed_meanwhile: too many changes at once",
    412: "changed_meanwhile: If-Match names another version",
}

ROUTES: tuple[Route, ...] = (
    Route(
        name="standard_messages",
        method="GET",
        path="/standard-messages",
        handler=standard_messages.standard_messages,
        role="read_only",
        summary="Standard messages by title, or those whose title has some words",
        query=standard_messages.StandardQuery,
        answers={200: standard_messages.StandardList},
    ),
    Route(
        name="create_standard_message",
        method="POST",
        path="/standard-messages",
        handler=standard_messages.create,
        role="lead",
        summary="Make a standard message",
        body=standard_messages.NewStandardMessage,
        answers={200: standard_messages.StandardView, 201: standard_messages.StandardView},
        headers=_KEY,
        problems={
            409: "idempotency_conflict: the key was used for another one; too_many: there are "
            "5,000 already"
        },
    ),
    Route(
        name="standard_message",
        method="GET",
        path="/standard-messages/{id}",
        handler=standard_messages.standard_message,
        role="read_only",
        summary="One standard message; ETag names its version",
        answers={200: standard_messages.StandardView},
    ),
    Route(
        name="patch_standard_message",
        method="PATCH",
        path="/standard-messages/{id}",
        handler=standard_messages.patch,
        role="lead",
        summary="Change a standard message; what was scheduled with it stays as it was",
        body=standard_messages.StandardPatch,
        answers={200: standard_messages.StandardView},
        headers=_MATCH,
        problems=_CHANGED,
    ),
    Route(
        name="delete_standard_message",
        method="DELETE",
        path="/standard-messages/{id}",
        handler=standard_messages.delete,
        role="lead",
        summary="Delete a standard message",
        answers={204: None},
        headers=_MATCH,
        problems=_CHANGED,
    ),
)

"""Routes: bots, and what can be asked and done about decisions."""

from __future__ import annotations

from services.desk.api import act, bot_answers, bulk, sessions
from services.desk.api.route import Route

_ENDED = {409: "session_ended: it has ended"}
_KEY = {"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"}

ROUTES: tuple[Route, ...] = (
    bot_answers.ROUTE,
    Route(
        name="remove",
        method="POST",
        path="/sessions/{id}/remove",
        handler=act.remove,
        role="agent",
        summary="Take agents off a session; without the last one it waits again",
        body=act.Removed,
        answers={200: sessions.SessionRow},
        problems=_ENDED,
    ),
    Route(
        name="remove_one",
        method="DELETE",
        path="/sessions/{id}/assignees/{agent}",
        handler=act.remove_one,
        role="agent",
        summary="Take one agent off a session",
        answers={200: sessions.SessionRow},
        problems=_ENDED,
    ),
    Route(
        name="handoff",
        method="POST",
        path="/sessions/{id}/handoff",
        handler=act.hand_off,
        role="agent",
        summary="Ask for a human in place of the bot",
        body=act.Nothing,
        body_optional=True,
        answers={200: sessions.SessionRow},
        problems=_ENDED,
    ),
    Route(
        name="tags",
        method="PUT",
        path="/sessions/{id}/tags",
        handler=act.tag,
        role="agent",
        summary="Add and take tags of a session",
        body=act.Tags,
        answers={200: sessions.SessionRow},
        problems=_ENDED,
    ),
    Route(
        name="bulk",
        method="POST",
        path="/sessions/bulk",
        handler=bulk.bulk,
        role="agent",
        summary="Do one thing to many sessions, each answered by itself",
        body=bulk.Bulk,
        answers={200: bulk.BulkResult},
        headers=_KEY,
        problems={409: "confirmation_required: repeat with the token to end them all"},
    ),
)

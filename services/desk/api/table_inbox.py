"""Routes: what a console begins with, what it is told from then on, and the filters it keeps."""

from __future__ import annotations

from services.desk.api import inbox, inbox_stream, saved_filters
from services.desk.api.route import Route

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_KEY = {"Idempotency-Key": "A repeat with the same key makes nothing new"}
_BUSY = "changed_meanwhile: others change it all the time"
_STALE = "changed_meanwhile: If-Match names another version"

ROUTES: tuple[Route, ...] = (
    Route(
        name="inbox",
        method="GET",
        path="/inbox",
        handler=inbox.inbox,
        role="read_only",
        summary="What a console begins with: first page, counts, unread, accounts, filters",
        query=inbox.InboxQuery,
        answers={200: inbox.InboxStart},
    ),
    Route(
        name="inbox_stream",
        method="GET",
        path="/inbox/stream",
        handler=inbox_stream.stream,
        role="read_only",
        summary="What changes in the inbox as server-sent events, see docs/inbox.md",
        query=inbox_stream.StreamQuery,
        answers={200: inbox_stream.InboxEvent},
        streams=True,
        problems={429: "too_many_streams: too many are open, of this agent or at all"},
        headers={"Last-Event-ID": "The last id that was seen: what came since is told first"},
    ),
    Route(
        name="saved_filters",
        method="GET",
        path="/filters",
        handler=saved_filters.saved_filters,
        role="read_only",
        summary="The caller's kept filters of the inbox, and the shared ones",
        answers={200: saved_filters.FilterList},
    ),
    Route(
        name="create_filter",
        method="POST",
        path="/filters",
        handler=saved_filters.create,
        role="read_only",
        summary="Keep a filter under a name; leads may share it",
        body=saved_filters.NewFilter,
        answers={201: saved_filters.FilterView, 200: saved_filters.FilterView},
        headers=_KEY,
        problems={409: "too_many; idempotency_conflict: the key made another"},
    ),
    Route(
        name="saved_filter",
        method="GET",
        path="/filters/{id}",
        handler=saved_filters.saved_filter,
        role="read_only",
        summary="One kept filter; ETag names its version",
        answers={200: saved_filters.FilterView},
    ),
    Route(
        name="patch_filter",
        method="PATCH",
        path="/filters/{id}",
        handler=saved_filters.patch,
        role="read_only",
        summary="Change a kept filter; a shared one takes a lead",
        body=saved_filters.FilterPatch,
        answers={200: saved_filters.FilterView},
        headers=_IF_MATCH,
        problems={409: _BUSY, 412: _STALE},
    ),
    Route(
        name="delete_filter",
        method="DELETE",
        path="/filters/{id}",
        handler=saved_filters.delete,
        role="read_only",
        summary="Delete a kept filter; a shared one takes a lead",
        answers={204: None},
        headers=_IF_MATCH,
        problems={409: _BUSY, 412: _STALE},
    ),
    Route(
        name="inbox_default",
        method="GET",
        path="/inbox/default",
        handler=saved_filters.first,
        role="read_only",
        summary="What a login of the caller shows first",
        answers={200: saved_filters.FirstShown},
    ),
    Route(
        name="put_inbox_default",
        method="PUT",
        path="/inbox/default",
        handler=saved_filters.put_first,
        role="read_only",
        summary="Choose what a login shows first: a kept filter, or values",
        body=saved_filters.FirstChoice,
        answers={200: saved_filters.FirstShown},
        headers=_IF_MATCH,
        problems={409: _BUSY, 412: _STALE},
    ),
)

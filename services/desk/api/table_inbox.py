"""Routes: what a console begins with, what it is told from then on, and the filters it keeps."""

from __future__ import annotations

from services.desk.api import saved_filters
from services.desk.api.route import Route

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_KEY = {"Idempotency-Key": "A repeat with the same key makes nothing new"}
_BUSY = "changed_meanwhile: others change it all the time"
_STALE = "changed_meanwhile: If-Match names another version"

ROUTES: tuple[Route, ...] = (
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

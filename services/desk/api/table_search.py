"""Route: search."""

from __future__ import annotations

from services.desk.api import search
from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="search",
        method="GET",
        path="/search",
        handler=search.search,
        role="read_only",
        summary="Contacts and messages by words, phone, address, tag, place and time",
        query=search.SearchQuery,
        answers={200: search.Found},
    ),
)

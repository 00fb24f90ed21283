"""Routes: who is there, and what calls for attention, as it happens."""

from __future__ import annotations

from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = ()
